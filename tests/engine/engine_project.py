"""A project of the test's own with the real engine: a git repository, one stack, a provider that the test directs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from takeover.engine.stacks import Outcome, StackDriver

HERE = Path(__file__).parent
PATIENCE_S = 60.0

PROJECT = """\
name: takeover
runtime: python
plugins:
  providers:
    - name: slow
      path: ./plugin
"""
SETTINGS = """\
# Comments stay.
config:
  takeover:hosting:   # so does what stands here
    environment: development
"""


@dataclass(frozen=True)
class SlowProject:
    """A project whose one resource is made by slow_provider.py, which notes what it does in `desk`."""

    root: Path
    home: Path
    desk: Path

    def driver(self, program: Callable[[], None], heard: list[str] | None = None) -> StackDriver:
        return StackDriver("dev", program, project_dir=self.root, say=(heard if heard is not None else []).append)

    def up(self, program: Callable[[], None]) -> Outcome:
        return self.driver(program).up()

    def made(self) -> list[str]:
        """What the provider created and did not delete again."""
        return sorted(path.name for path in self.desk.glob("*.thing"))

    def git_status(self) -> str:
        done = subprocess.run(
            ["git", "status", "--porcelain"], cwd=self.root, capture_output=True, text=True, check=True
        )
        return done.stdout

    def start_up(self) -> subprocess.Popen[str]:
        """`up` in a process of its own, as a user runs it."""
        return subprocess.Popen(
            [sys.executable, str(HERE / "run_up.py"), str(self.root)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_until_creating(self) -> None:
        wait_for(lambda: (self.desk / "creating").exists())


@pytest.fixture
def project(engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlowProject:
    root, desk = tmp_path / "project", tmp_path / "desk"
    (root / "plugin").mkdir(parents=True)
    desk.mkdir()
    (root / "Pulumi.yaml").write_text(PROJECT)
    (root / "Pulumi.dev.yaml").write_text(SETTINGS)
    plugin = root / "plugin" / "pulumi-resource-slow"
    plugin.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "slow_provider.py"}" "$@"\n')
    plugin.chmod(0o755)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi-home"))
    monkeypatch.setenv("TAKEOVER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SLOW_DESK", str(desk))
    monkeypatch.chdir(root)
    if shutil.which("git"):
        for command in (
            ["init", "-q"],
            ["add", "."],
            ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"],
        ):
            subprocess.run(["git", *command], cwd=root, check=True)
    return SlowProject(root, tmp_path / "home", desk)


def wait_for(condition: Callable[[], object]) -> None:
    """Wait for another process: there is nothing to be told by."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at, "it did not come to pass"
        time.sleep(0.02)


def engine_under(process: subprocess.Popen[str]) -> psutil.Process:
    """The engine that runs below a process of ours."""
    children = psutil.Process(process.pid).children(recursive=True)
    return next(child for child in children if Path(child.exe()).name == "pulumi")
