"""A project apart for each test: its own stack file, state and endpoints; the code is this clone's."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from fakes.artifacts import make_adapter

from takeover.adapter import Adapter, open_adapter

ROOT = Path(__file__).parents[2]
TAKEOVER = Path(sys.executable).parent / "takeover"
STACK_FILE = """\
config:
  takeover:hosting:
    environment: development
    provider: local
    coldStartTolerance: high
  takeover:adapter:
    source: {source}
  takeover:local:
    drainSeconds: 3
"""


@dataclass(frozen=True)
class ScratchProject:
    """A folder that the `takeover` command takes for its project, and the commands run in it."""

    root: Path
    environment: dict[str, str]

    def use(self, adapter: Adapter) -> None:
        """The stack serves this adapter from the next `up` on."""
        (self.root / "Pulumi.dev.yaml").write_text(STACK_FILE.format(source=adapter.path))

    def takeover(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(TAKEOVER), *arguments],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=180,
            stdin=subprocess.DEVNULL,
        )
        if check:
            assert done.returncode == 0, f"takeover {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A command in a group of its own, so that all of it can be killed at once."""
        return subprocess.Popen(
            [str(TAKEOVER), *arguments],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def serve_by_stand_in(self) -> None:
        """For a test in which it does not matter what serves: it is there at once, and imports no torch."""
        stand_in = ROOT / "tests" / "fakes" / "local_server.py"
        self.environment["TAKEOVER_LOCAL_SERVER"] = f"{sys.executable} {stand_in}"

    def outputs(self) -> dict[str, Any]:
        done = self.takeover("outputs", "--stack", "dev", "--json", "--show-secrets")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def servers(self) -> list[psutil.Process]:
        """Every serving process that works in this project's home, whoever started it."""
        home = self.environment["TAKEOVER_HOME"]
        found = []
        for process in psutil.process_iter(["cmdline"]):
            line = process.info["cmdline"] or []
            if "--state-dir" in line and any(home in word for word in line):
                found.append(process)
        return found

    def kill_servers(self) -> None:
        for process in self.servers():
            process.send_signal(signal.SIGKILL)
            process.wait(10)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[ScratchProject]:
    root = tmp_path / "project"
    root.mkdir()
    shutil.copy(ROOT / "Pulumi.yaml", root)
    (root / "plugin").symlink_to(ROOT / "plugin")
    environment = os.environ | {"TAKEOVER_HOME": str(tmp_path / "home"), "TAKEOVER_PYTHON": sys.executable}
    made = ScratchProject(root, environment)
    yield made
    made.kill_servers()


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    """An adapter that the command line trained on the demo's data with the tiny base."""
    out = tmp_path_factory.mktemp("trained") / "support-tone"
    arguments = [
        "train",
        "training/configs/tiny.yaml",
        "--data",
        "examples/support-tone/train.jsonl",
        "--max-steps",
        "2",
    ]
    done = subprocess.run(
        [str(TAKEOVER), *arguments, "--out", str(out)], cwd=ROOT, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr
    return open_adapter(out)


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    """Another version under the same name: another digest."""
    return make_adapter(tmp_path_factory.mktemp("made") / "support-tone", seed=2)
