"""The project's folder, its environment for the engine, and the passphrase that is made once."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from takeover.engine.project import Project, open_project, passphrase_file, stack_file, stack_names
from takeover.errors import Refused

BINARY = Path("/opt/engine/pulumi")


@dataclass(frozen=True)
class Case:
    id: str
    environ: dict[str, str] = field(default_factory=dict)
    adds: dict[str, str] = field(default_factory=dict)


CASES = (
    Case(
        "nothing chosen: a file backend and a passphrase of our own",
        {"PATH": "/bin"},
        {"PULUMI_BACKEND_URL": "file://{home}/state", "PULUMI_CONFIG_PASSPHRASE_FILE": "{home}/passphrase"},
    ),
    Case("the user's own backend: nothing of ours beside it", {"PATH": "/bin", "PULUMI_BACKEND_URL": "s3://team"}),
    Case(
        "the user's own passphrase on our backend",
        {"PATH": "/bin", "PULUMI_CONFIG_PASSPHRASE": ""},
        {"PULUMI_BACKEND_URL": "file://{home}/state"},
    ),
    Case(
        "the user's own file of a passphrase",
        {"PATH": "/bin", "PULUMI_CONFIG_PASSPHRASE_FILE": "/secret"},
        {"PULUMI_BACKEND_URL": "file://{home}/state"},
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_engine_gets_its_environment(case: Case, tmp_path: Path) -> None:
    project = Project(tmp_path, "takeover", tmp_path / "home dir")
    project.home.mkdir()
    always = {
        "PATH": os.pathsep.join(("/opt/engine", str(Path(sys.executable).parent), "/bin")),
        "TAKEOVER_HOME": str(project.home),
        "TAKEOVER_PYTHON": sys.executable,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
    }
    adds = {name: value.format(home=project.home) for name, value in case.adds.items()}
    assert project.engine_env(BINARY, case.environ) == always | adds


@dataclass(frozen=True)
class Backend:
    id: str
    environ: dict[str, str]
    folder: str | None


BACKENDS = (
    Backend("our own", {}, "{home}/state"),
    Backend("the user's, absolute", {"PULUMI_BACKEND_URL": "file:///srv/state"}, "/srv/state"),
    Backend("the user's, beside the project", {"PULUMI_BACKEND_URL": "file://./state"}, "{root}/state"),
    Backend("the user's, with an option", {"PULUMI_BACKEND_URL": "file:///srv/state?no_tmp_dir=true"}, "/srv/state"),
    Backend("in a cloud", {"PULUMI_BACKEND_URL": "gs://team"}, None),
)


@pytest.mark.parametrize("case", BACKENDS, ids=lambda case: case.id)
def test_the_folder_of_a_file_backend_is_known(case: Backend, tmp_path: Path) -> None:
    project = Project(tmp_path, "takeover", tmp_path / "home")
    wanted = Path(case.folder.format(root=tmp_path, home=project.home)) if case.folder else None
    assert project.state_folder(case.environ) == wanted


def test_the_passphrase_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = passphrase_file(tmp_path)
    first = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(first) >= 32
    assert passphrase_file(tmp_path).read_text() == first
    assert [left.name for left in tmp_path.iterdir()] == ["passphrase"]


def test_the_name_is_read_from_the_project_file(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text('# x\nruntime: {name: python}\nname: "takeover"\n')
    (tmp_path / "below").mkdir()
    project = open_project(tmp_path / "below")
    assert (project.root, project.name) == (tmp_path, "takeover")


def test_a_project_without_a_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("runtime: python\n")
    with pytest.raises(Refused, match="it names no project"):
        open_project(tmp_path)


def test_stacks_are_known_by_their_settings_files(tmp_path: Path) -> None:
    for name in ("Pulumi.yaml", "Pulumi.dev.yaml", "Pulumi.a.b.yaml"):
        (tmp_path / name).touch()
    assert stack_names(tmp_path) == ["a.b", "dev"]
    assert stack_file(tmp_path, "acme/takeover/dev") == tmp_path / "Pulumi.dev.yaml"
