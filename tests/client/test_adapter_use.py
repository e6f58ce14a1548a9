"""`takeover adapter use DIR --stack S`: a verified adapter goes into the stack's file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes.artifacts import make_adapter
from typer.testing import CliRunner

from takeover.adapter import Adapter
from takeover.cli import app
from takeover.errors import Refused

BEFORE = """\
# The stack of the test
config:
  takeover:hosting: {environment: development, provider: local} # one laptop
  takeover:adapter:
    source: adapters/old

  # The end
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    (project / "Pulumi.yaml").write_text("name: takeover\nruntime: python\n")
    (project / "Pulumi.dev.yaml").write_text(BEFORE)
    monkeypatch.chdir(project)
    return project


def use(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["adapter", "use", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def after(adapter: Adapter, source: str) -> str:
    return BEFORE.replace("adapters/old\n", f"{source}\n    digest: {adapter.digest}\n")


def test_a_folder_in_the_project_is_named_from_its_root(root: Path) -> None:
    adapter = make_adapter(root / "adapters" / "new")
    assert use("adapters/new") == (
        f"Pulumi.dev.yaml now names {adapter.served_name}:\n  source: adapters/new\n  digest: {adapter.digest}\n"
    )
    assert (root / "Pulumi.dev.yaml").read_text() == after(adapter, "adapters/new")
    assert use("adapters/new", "--stack", "dev").startswith(f"Pulumi.dev.yaml names already {adapter.served_name}:\n")


def test_from_a_folder_below_the_root_the_file_says_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = make_adapter(root / "adapters" / "new")
    monkeypatch.chdir(root / "adapters")
    assert json.loads(use("new", "--json")) == {
        "file": "Pulumi.dev.yaml",
        "changed": True,
        "source": "adapters/new",
        "digest": adapter.digest,
    }
    assert (root / "Pulumi.dev.yaml").read_text() == after(adapter, "adapters/new")


def test_a_folder_elsewhere_is_named_in_full(root: Path, tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "elsewhere")
    use(str(tmp_path / "elsewhere"))
    assert (root / "Pulumi.dev.yaml").read_text() == after(adapter, str(tmp_path / "elsewhere"))


@pytest.mark.parametrize(
    ("stack", "damage", "want"),
    [
        pytest.param("dev", b"x", "adapter_model.safetensors", id="a damaged adapter"),
        pytest.param("prod", b"", "there is no Pulumi.prod.yaml", id="a stack without a file"),
    ],
)
def test_what_is_wrong_is_refused_and_the_file_stays(root: Path, stack: str, damage: bytes, want: str) -> None:
    adapter = make_adapter(root / "adapters" / "new")
    with (adapter.path / "adapter_model.safetensors").open("ab") as file:
        file.write(damage)
    with pytest.raises(Refused, match=want):
        CliRunner().invoke(app, ["adapter", "use", "adapters/new", "--stack", stack], catch_exceptions=False)
    assert (root / "Pulumi.dev.yaml").read_text() == BEFORE
    assert sorted(each.name for each in root.iterdir()) == ["Pulumi.dev.yaml", "Pulumi.yaml", "adapters"]
