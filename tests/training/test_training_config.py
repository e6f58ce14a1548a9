"""Reading a training config: strict, and all mistakes at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from takeover.errors import Refusals, Refused
from training.config import LoraSettings, TrainingConfig, load_config, parse_config

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "training" / "configs").glob("*.yaml"))
FOLDER = Path("/configs")


def parse(text: str) -> TrainingConfig:
    return parse_config(text, subject="run.yaml", folder=FOLDER)


def test_a_config_is_read_with_its_defaults() -> None:
    config = parse(
        "base: tiny\nlearning_rate: 2e-4\nlora: {target_modules: [v_proj, q_proj]}\ndata: {train: a.jsonl}\n"
    )
    assert config == TrainingConfig(
        base="tiny",
        learning_rate=2e-4,
        lora=LoraSettings(r=64, alpha=128, dropout=0.0, target_modules=("q_proj", "v_proj")),
        data=config.data.model_copy(update={"train": "/configs/a.jsonl"}),
    )


def test_lora_defaults_are_those_of_the_evaluation() -> None:
    assert LoraSettings().model_dump() == {
        "r": 64,
        "alpha": 128,
        "dropout": 0.0,
        "target_modules": ("k_proj", "o_proj", "q_proj", "v_proj"),
    }


MISTAKES = YAML(typ="safe").load(Path(__file__).with_name("config_mistakes.yaml"))


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case["id"])
def test_a_mistake_is_named_with_its_key(case: dict[str, str]) -> None:
    with pytest.raises(Refusals) as refused:
        parse(case["config"])
    assert refused.value.happened == "run.yaml: 1 mistake"
    assert [str(mistake) for mistake in refused.value.mistakes] == [case["message"].rstrip()]


def test_all_mistakes_are_named_at_once_the_rules_between_keys_too() -> None:
    with pytest.raises(Refusals) as refused:
        parse("max_steps: 0\nbeta: -1\ntypo: 1\nmethod: sft\nloss_weights: [1.0]\nlora: {r: 0, dropout: 0.5}\nbase: x")
    assert {mistake.where for mistake in refused.value.mistakes} == {
        "max_steps", "beta", "typo", "lora.r", "loss_weights", "base",
    }  # fmt: skip


@dataclass(frozen=True)
class Unreadable:
    id: str
    content: bytes
    message: str


NOTHING = "{path}: holds no settings\n  Write keys such as `base:` and `max_steps:`."
UNREADABLE = [
    Unreadable(
        "YAML that ends too early",
        b"a: [1",
        "{path}, line 1: not valid YAML: expected ',' or ']', but got '<stream end>'",
    ),
    Unreadable(
        "a key twice",
        b"a: 1\na: 2",
        '{path}, line 2: not valid YAML: found duplicate key "a" with value "2" (original value: "1")',
    ),
    Unreadable("a list", b"- 1", NOTHING),
    Unreadable("nothing", b"", NOTHING),
    Unreadable("bytes that are no text", b"a: \xff", "{path} is not UTF-8 text: byte 3 is wrong\n  Save it as UTF-8."),
]


@pytest.mark.parametrize("case", UNREADABLE, ids=lambda case: case.id)
def test_a_file_that_holds_no_config_is_refused(case: Unreadable, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(case.content)
    with pytest.raises(Refused) as refused:
        load_config(path)
    assert str(refused.value) == case.message.format(path=path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"none\.yaml cannot be read: No such file or directory"):
        load_config(tmp_path / "none.yaml")


@dataclass(frozen=True)
class Length:
    id: str
    text: str
    rows: int
    steps: int


LENGTHS = [
    Length("max_steps as given", "max_steps: 7", 100, 7),
    Length("one epoch unless something is said", "batch_size: 4", 9, 3),
    Length("epochs in batches, the last one short", "epochs: 2\nbatch_size: 4", 9, 6),
    Length("epochs in accumulated batches", "epochs: 3\nbatch_size: 2\ngradient_accumulation_steps: 4", 17, 9),
]


@pytest.mark.parametrize("case", LENGTHS, ids=lambda case: case.id)
def test_the_number_of_steps_is_fixed_before_the_first(case: Length) -> None:
    assert parse(case.text).steps(case.rows) == case.steps


def test_data_of_the_command_line_replace_both_splits() -> None:
    config = parse("epochs: 3\ndata: {train: a.json, eval: b.json}")
    assert config.overridden(data="mine.json", max_steps=5, base="tiny") == config.model_copy(
        update={
            "base": "tiny",
            "max_steps": 5,
            "epochs": None,
            "data": config.data.model_copy(update={"train": "mine.json", "eval": None}),
        }
    )


def test_a_method_is_named_as_the_manifest_does() -> None:
    texts = ("method: sft", "method: dpo", "loss_type: [sigmoid, sft]")
    assert [parse(text).method_label for text in texts] == ["sft", "dpo", "dpo+sft"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_configs_that_come_with_the_project_are_valid(path: Path) -> None:
    config = load_config(path)
    assert config.base is not None
    assert (config.lora.r, config.lora.alpha) == (64, 128)
