"""The other door: Pulumi's own command line, through `takeover pulumi` and by itself, on what `takeover up` made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from engine_project import HERE, SlowProject
from slow_program import SECRET, program

pytestmark = pytest.mark.engine

MAIN = f"import sys\nsys.path.insert(0, {str(HERE)!r})\nfrom slow_program import program\nprogram()\n"


def takeover(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("takeover")), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_state_shows_ciphertext_only(project: SlowProject) -> None:
    project.up(program)
    exported = takeover("pulumi", "stack", "export", "--stack", "dev", cwd=project.root)
    assert (exported.returncode, exported.stderr) == (0, "")
    assert SECRET not in exported.stdout
    outputs = json.loads(exported.stdout)["deployment"]["resources"][0]["outputs"]
    assert outputs["endpoint"]["apiKey"]["ciphertext"].startswith("v1:")


def test_the_engines_notes_stay_out_of_tracked_files(project: SlowProject) -> None:
    project.up(program)
    # Of the commands that need no language host, these two write the salt.
    history = takeover("pulumi", "stack", "history", "--show-secrets", "--stack", "dev", cwd=project.root)
    config = takeover("pulumi", "config", "--show-secrets", "--stack", "dev", cwd=project.root)
    made = takeover("pulumi", "stack", "init", "other", "--no-select", cwd=project.root)
    assert [history.returncode, config.returncode, made.returncode] == [0, 0, 0]
    assert project.git_status() == ""


def test_what_the_user_sets_himself_is_kept(project: SlowProject) -> None:
    project.up(program)
    takeover("pulumi", "config", "set", "--secret", "takeover:token", "abc", "--stack", "dev", cwd=project.root)
    settings = (project.root / "Pulumi.dev.yaml").read_text()
    assert "secure: v1:" in settings
    assert "encryptionsalt: v1:" in settings
    shown = takeover("pulumi", "config", "get", "takeover:token", "--stack", "dev", cwd=project.root)
    assert shown.stdout == "abc\n"


def test_the_exit_code_is_the_engines(project: SlowProject, engine: Path) -> None:
    question = ["stack", "output", "--stack", "nix"]
    env = os.environ | project.driver(program).project.engine_env(engine)
    plain = subprocess.run([str(engine), *question], cwd=project.root, env=env, capture_output=True, check=False)
    assert plain.returncode != 0
    assert takeover("pulumi", *question, cwd=project.root).returncode == plain.returncode


@pytest.fixture
def plain_environment(project: SlowProject, engine: Path, tmp_path: Path) -> dict[str, str]:
    """What a user exports to use plain `pulumi`; the language host is the machine's own, else the stand-in."""
    (project.root / "__main__.py").write_text(MAIN)
    stand_in = tmp_path / "bin" / "pulumi-language-python"
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "language_host.py"}" "$@"\n')
    stand_in.chmod(0o755)
    env = os.environ | project.driver(program).project.engine_env(engine)
    host = shutil.which("pulumi-language-python")
    return env if host else env | {"PATH": os.pathsep.join((str(stand_in.parent), env["PATH"]))}


def test_plain_pulumi_finds_nothing_to_change(project: SlowProject, plain_environment: dict[str, str]) -> None:
    project.up(program)
    preview = ["pulumi", "preview", "--stack", "dev", "--expect-no-changes", "--non-interactive"]
    done = subprocess.run(preview, cwd=project.root, env=plain_environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 unchanged" in done.stdout


def test_what_plain_pulumi_put_up_is_the_same_to_takeover(
    project: SlowProject, plain_environment: dict[str, str]
) -> None:
    project.driver(program).preview()
    up = ["pulumi", "up", "--stack", "dev", "--yes", "--skip-preview", "--non-interactive"]
    subprocess.run(up, cwd=project.root, env=plain_environment, capture_output=True, check=True)
    assert dict(project.driver(program).preview().changes) == {"same": 2}
    assert dict(project.driver(program).destroy().changes) == {"delete": 2}
