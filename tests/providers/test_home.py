"""Where the project keeps what it runs."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from takeover.home import home_dir, project_root


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: x\n")
    (tmp_path / "below" / "further").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "below" / "further")
    return tmp_path


def test_the_variable_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAKEOVER_HOME", str(tmp_path / "elsewhere"))
    assert home_dir() == tmp_path / "elsewhere"


def test_else_it_is_a_hidden_folder_in_the_project_s_root(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAKEOVER_HOME")
    assert home_dir() == project / ".takeover"


def test_it_is_its_owner_s_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAKEOVER_HOME")
    assert stat.S_IMODE(home_dir().stat().st_mode) == 0o700


def test_outside_of_a_project_the_root_is_the_clone(tmp_path: Path) -> None:
    assert project_root(tmp_path) == Path(__file__).parents[2]
