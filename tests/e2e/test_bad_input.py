"""Bad input at the command line: one clear message, exit code 2, no traceback, nothing half-made."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from e2e.conftest import ROOT, STACK_FILE, ScratchProject
from fakes.artifacts import make_adapter

GOOD = {"prompt": "Where is it?", "chosen": "On its way, sorry!", "rejected": "No idea."}
TINY = str(ROOT / "training" / "configs" / "tiny.yaml")
WRONG_CONFIG = """\
base: tiny
method: ppo
learning_rate: -1
lora: {rank: 8}
quantization: 4bit
device: cpu
"""


def refused(project: ScratchProject, *arguments: str) -> str:
    """What the command says; it must refuse, and leave no server."""
    done = project.takeover(*arguments, check=False)
    assert (done.returncode, "Traceback" in done.stderr + done.stdout) == (2, False), done.stderr
    assert project.servers() == []
    return done.stderr


def rows(path: Path, *changes: dict[str, object]) -> str:
    path.write_text("".join(json.dumps(GOOD | change) + "\n" for change in changes))
    return str(path)


def test_every_bad_row_of_a_data_file_is_named_with_its_reason(project: ScratchProject, tmp_path: Path) -> None:
    data = rows(tmp_path / "bad.jsonl", {}, {"chosen": "No idea."}, {"prompt": ""}, {"rejected": None})
    said = refused(project, "train", TINY, "--data", data, "--out", str(tmp_path / "out"))
    assert [number for number in ("row 2", "row 3", "row 4") if number not in said] == []
    assert "row 1:" not in said
    assert sorted(path.name for path in tmp_path.glob("out*")) == []


def test_every_mistake_of_a_config_is_named(project: ScratchProject, tmp_path: Path) -> None:
    config = tmp_path / "wrong.yaml"
    config.write_text(WRONG_CONFIG)
    data = rows(tmp_path / "good.jsonl", {})
    said = refused(project, "train", str(config), "--data", data, "--out", str(tmp_path / "out"))
    wrong = ("method", "learning_rate", "lora.rank", "quantization")
    assert [key for key in wrong if f"{key}: " not in said] == []
    assert not (tmp_path / "out").exists()


def test_a_base_without_a_pinned_revision_is_refused_with_the_fix(project: ScratchProject, tmp_path: Path) -> None:
    data = rows(tmp_path / "good.jsonl", {})
    said = refused(project, "train", TINY, "--base", "hub:org/model", "--data", data, "--out", str(tmp_path / "out"))
    assert "hub:org/model@" in said or "commit" in said


def test_an_output_folder_that_holds_something_else_is_left_alone(project: ScratchProject, tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "mine")
    data = rows(tmp_path / "good.jsonl", {})
    refused(project, "train", TINY, "--data", data, "--out", str(adapter.path))
    project.takeover("adapter", "verify", str(adapter.path))


@pytest.mark.engine
@pytest.mark.usefixtures("engine")
class TestStacks:
    """The same at `takeover up`: refused in the program, before anything is made."""

    def test_a_rank_above_what_the_tier_serves(self, project: ScratchProject, tmp_path: Path) -> None:
        project.use(make_adapter(tmp_path / "wide", rank=600))
        said = refused(project, "up", "--stack", "dev")
        assert ("600" in said, "512" in said) == (True, True)

    def test_a_digest_that_does_not_match(self, project: ScratchProject, tmp_path: Path) -> None:
        adapter = make_adapter(tmp_path / "mine")
        settings = STACK_FILE.replace("{source}", f"{adapter.path}\n    digest: sha256:{'0' * 64}")
        (project.root / "Pulumi.dev.yaml").write_text(settings)
        said = refused(project, "up", "--stack", "dev")
        assert (adapter.digest in said, "0" * 64 in said) == (True, True)

    def test_adapters_of_different_bases(self, project: ScratchProject, tmp_path: Path) -> None:
        one = make_adapter(tmp_path / "one")
        other = make_adapter(tmp_path / "other", name="other", base=f"hub:org/model@{'a' * 40}", base_revision="a" * 40)
        listed = f"takeover:adapters:\n    - source: {one.path}\n    - source: {other.path}"
        settings = STACK_FILE.replace("takeover:adapter:\n    source: {source}", listed)
        (project.root / "Pulumi.dev.yaml").write_text(settings)
        said = refused(project, "up", "--stack", "dev")
        assert ("tiny" in said, "hub:org/model" in said) == (True, True)

    def test_several_wrong_settings_at_once(self, project: ScratchProject, tmp_path: Path) -> None:
        settings = STACK_FILE.replace("{source}", str(tmp_path)).replace("local\n", "locall\n") + "    prot: 80\n"
        (project.root / "Pulumi.dev.yaml").write_text(settings)
        said = refused(project, "preview", "--stack", "dev")
        assert ("takeover:hosting.provider" in said, "takeover:local.prot" in said) == (True, True)

    def test_a_port_in_use(self, project: ScratchProject, tmp_path: Path) -> None:
        project.use(make_adapter(tmp_path / "mine"))
        file = project.root / "Pulumi.dev.yaml"
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            file.write_text(file.read_text() + f"    port: {port}\n")
            said = refused(project, "up", "--stack", "dev")
        assert str(port) in said
