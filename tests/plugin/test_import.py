"""`pulumi import`: an endpoint that no state knows is taken into a stack, and is then just as the program has it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.artifacts import make_adapter
from stack_project import ROOT, TOKEN, StackProject

from components.program import program
from takeover.engine.stacks import StackDriver

pytestmark = pytest.mark.engine

TAKEOVER = Path(sys.executable).with_name("takeover")
QUIET = ("--yes", "--generate-code=false", "--protect=false")
STACK = """\
config:
  takeover:hosting: {environment: development, provider: local}
  takeover:adapter: {source: tone}
  takeover:local: {maxBatch: 4, drainSeconds: 0}
"""


@pytest.fixture
def _language_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine wants one for an import, though no program runs: the machine's own, else the stand-in."""
    stand_in = tmp_path / "bin" / "pulumi-language-python"
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT / "tests/engine/language_host.py"}" "$@"\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{stand_in.parent}")


def imported(project: StackProject, *arguments: str) -> None:
    command = [str(TAKEOVER), "pulumi", "import", *arguments, "--stack", "dev", *QUIET]
    done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("_language_host")
def test_an_endpoint_of_the_whole_program_is_imported_by_its_id_and_nothing_is_left_to_change(
    project: StackProject, tmp_path: Path
) -> None:
    make_adapter(project.root / "tone", name="tone")
    (project.root / "Pulumi.dev.yaml").write_text(STACK)
    driver = StackDriver("dev", program, project_dir=project.root)
    driver.up()
    before = driver.outputs(show_secrets=True)["endpoint"]
    [server] = project.servers()
    [endpoint] = [each for each in driver.export()["resources"] if each["type"] == TOKEN]

    # The state is lost, the endpoint is not.
    shutil.rmtree(project.home / "state")
    assert driver.preview().changes == {"create": 3}
    resources = [
        {"type": "takeover:hosting:Local", "name": "hosting", "component": True},
        {"type": TOKEN, "name": "endpoint", "id": endpoint["id"], "parent": "hosting"},
    ]
    (tmp_path / "import.json").write_text(json.dumps({"resources": resources}))
    imported(project, "--file", str(tmp_path / "import.json"))

    seen = driver.preview()
    assert [(step.op, step.changed) for step in seen.steps if step.type == TOKEN and step.op != "same"] == []
    driver.up()
    assert driver.outputs(show_secrets=True)["endpoint"] == before
    assert project.servers() == [server]
    driver.destroy()
    assert project.servers() == []
