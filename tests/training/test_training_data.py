"""From sources to two checked splits: bad rows all at once, repeats out, rows held back, a report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from takeover.errors import Refusals, Refused
from training.config import TrainingConfig, parse_config
from training.datasets.clean import (
    Cleaned,
    Repeat,
    as_ranges,
    hold_out,
    rows_digest,
    without_repeats,
    without_shared,
)
from training.datasets.formats import Example, Message
from training.datasets.lengths import Lengths, measure
from training.datasets.load import load_data
from training.datasets.report import sentences


class Letters:
    """A tokenizer of one token a letter, which writes a message as `role:content;`."""

    eos_token = "$"

    def __init__(self, chat_template: str | None = "yes") -> None:
        self.chat_template = chat_template

    def apply_chat_template(self, conversation: Any, *, tokenize: bool, add_generation_prompt: bool) -> str:
        written = "".join(f"{message['role'][0]}:{message['content']};" for message in conversation)
        return written + ("a:" if add_generation_prompt else "")

    def __call__(self, text: list[str], *, add_special_tokens: bool) -> dict[str, list[list[int]]]:
        start = [0] if add_special_tokens else []
        return {"input_ids": [start + [ord(letter) for letter in each] for each in text]}


def row(number: int, prompt: str = "p", chosen: str = "c", rejected: str | None = "r") -> Example:
    return Example(number, prompt, chosen, rejected)


def test_repeats_are_left_out_whatever_their_spaces_and_their_unicode_form() -> None:
    rows = [row(1, "caf\u00e9"), row(2), row(3, "cafe\u0301 "), row(4, rejected="x"), row(5)]
    assert without_repeats(rows) == Cleaned((rows[0], rows[1], rows[3]), (Repeat(3, 1), Repeat(5, 2)))


def test_rows_of_the_held_out_split_are_not_trained_on() -> None:
    assert without_shared([row(1), row(2, "q")], [row(9, "q"), row(8, "z")]) == Cleaned((row(1),), (Repeat(2, 9),))


def test_rows_are_held_out_by_the_seed_and_the_prompt_whatever_their_order() -> None:
    rows = [row(number, f"p{number}") for number in range(1, 41)]
    train, held = hold_out(rows, 0.1, seed=3)
    assert sorted(each.number for each in (*train, *held)) == list(range(1, 41))
    assert len(held) == 4
    assert hold_out(rows[::-1], 0.1, seed=3) == (train[::-1], held[::-1])
    assert hold_out(rows, 0.1, seed=4)[1] != held


def test_rows_of_one_prompt_stay_on_one_side() -> None:
    rows = [row(number, f"p{number % 3}", f"c{number}") for number in range(12)]
    train, held = hold_out(rows, 0.1, seed=0)
    assert {each.prompt for each in train} & {each.prompt for each in held} == set()
    assert len(held) == 4


@pytest.mark.parametrize(
    ("rows", "fraction"), [((row(1),), 0.5), ((row(1), row(2)), 0.0), ((row(1), row(2, chosen="d")), 0.5)]
)
def test_nothing_is_held_out_where_nothing_would_be_left_or_nothing_was_asked(
    rows: tuple[Example, ...], fraction: float
) -> None:
    assert hold_out(rows, fraction, seed=0) == (rows, ())


def test_the_digest_is_of_the_rows_and_their_split_not_of_their_numbers() -> None:
    one, other = row(1), row(2, "q")
    assert rows_digest([one], [other]) == rows_digest([row(7)], [row(8, "q")])
    assert len({rows_digest([one], [other]), rows_digest([other], [one]), rows_digest([one, other], [])}) == 3


def test_numbers_are_written_as_ranges() -> None:
    assert as_ranges([9, 3, 7, 8, 12]) == "3, 7-9, 12"


CHAT = Example(1, (Message("user", "hi"),), (Message("assistant", "yes"),), (Message("assistant", "no, no"),))


def test_lengths_are_those_of_the_prompt_and_of_each_answer_with_its_end() -> None:
    # p, c and r with the start token; the end token counts to the answer.
    assert measure([row(1), row(2, "pp", "c$", None)], Letters()) == (Lengths(2, 2, 2), Lengths(3, 2, None))
    # "u:hi;a:" is 7, "u:hi;a:yes;" is 11, "u:hi;a:no, no;" is 14.
    assert measure([CHAT], Letters()) == (Lengths(7, 4, 7),)
    assert measure([CHAT], Letters())[0].longest == 14


def test_a_chat_needs_a_tokenizer_that_knows_how_to_write_one() -> None:
    with pytest.raises(Refused, match=r"^the rows are chats, but the base's tokenizer has no chat template"):
        measure([CHAT], Letters(chat_template=None))


def config_of(folder: Path, splits: dict[str, Sequence[Any]], **more: Any) -> TrainingConfig:
    for name, rows in splits.items():
        (folder / f"{name}.json").write_text(json.dumps(rows))
    settings = {"data": {name: f"{name}.json" for name in splits}, **more}
    return parse_config(json.dumps(settings), subject="run.yaml", folder=folder)


def plain(prompt: str = "p", chosen: str = "c", rejected: str = "r") -> dict[str, str]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def test_every_bad_row_of_both_splits_is_named_by_number_with_its_reasons(tmp_path: Path) -> None:
    splits: dict[str, Sequence[Any]] = {
        "train": [plain(), {"prompt": "p"}, plain(chosen="r"), plain(chosen="c" * 30), {"chosen": [], "rejected": ""}],
        "eval": ["text", plain("", "c", "")],
    }
    with pytest.raises(Refusals) as refused:
        load_data(config_of(tmp_path, splits, max_length=16), Letters)
    assert str(refused.value) == (
        "the data: 6 mistakes\n"
        '1. train.json, row 2: the field "chosen" is missing; the field "rejected" is missing\n'
        '2. train.json, row 3: "chosen" equals "rejected"\n'
        "3. train.json, row 4: is too long: 33 tokens, at most 16 (max_length)\n"
        '4. train.json, row 5: "chosen" is empty\n'
        "5. eval.json, row 1: is text, not an object with fields\n"
        '6. eval.json, row 2: "prompt" is empty; "rejected" is empty'
    )


def test_chats_and_plain_text_do_not_mix(tmp_path: Path) -> None:
    chat = {"prompt": [{"role": "user", "content": "a"}], "chosen": [{"role": "assistant", "content": "b"}]}
    chat["rejected"] = [{"role": "assistant", "content": "c"}]
    with pytest.raises(Refusals) as refused:
        load_data(config_of(tmp_path, {"train": [plain(), chat]}), Letters)
    assert [str(mistake) for mistake in refused.value.mistakes] == [
        "train.json, row 2: is a chat, while the first row is plain text"
    ]


def test_very_many_bad_rows_are_all_named_in_few_lines(tmp_path: Path) -> None:
    rows = [{}, *([plain(chosen="r")] * 100), plain(), plain(chosen="")]
    with pytest.raises(Refusals) as refused:
        load_data(config_of(tmp_path, {"train": rows}), Letters)
    assert [str(mistake) for mistake in refused.value.mistakes] == [
        'train.json: the field "chosen" is missing: rows 1',
        'train.json: the field "rejected" is missing: rows 1',
        'train.json: "chosen" equals "rejected": rows 2-101',
        'train.json: "chosen" is empty: rows 103',
    ]


def test_the_data_report_says_what_went_in_and_what_was_left_out(tmp_path: Path) -> None:
    splits = {
        "train": [plain(), plain("q", "cc"), plain(), plain("h"), plain("i", "other")],
        "eval": [plain("h"), plain("h "), plain("i")],
    }
    loaded = load_data(config_of(tmp_path, splits), Letters)
    assert [each.number for each in loaded.train] == [1, 2, 5]
    assert [each.number for each in loaded.held_out] == [1, 3]
    assert loaded.report == {
        "schemaVersion": 1,
        "digest": loaded.digest,
        "form": "plain",
        "maxLength": 1024,
        "train": {
            "source": "train.json",
            "rowsRead": 5,
            "rows": 3,
            "duplicatesRemoved": [{"row": 3, "sameAs": 1}],
            "sharedWithHeldOutRemoved": [{"row": 4, "sameAs": 1}],
            "tokens": {
                "prompt": {"min": 2, "median": 2, "p90": 2, "max": 2, "total": 6},
                "chosen": {"min": 2, "median": 3, "p90": 6, "max": 6, "total": 11},
                "rejected": {"min": 2, "median": 2, "p90": 2, "max": 2, "total": 6},
                "longest": {"min": 4, "median": 5, "p90": 8, "max": 8, "total": 17},
            },
        },
        "heldOut": {
            "source": "eval.json",
            "rowsRead": 3,
            "rows": 2,
            "duplicatesRemoved": [{"row": 2, "sameAs": 1}],
            "sharedWithHeldOutRemoved": [],
            "tokens": {
                "prompt": {"min": 2, "median": 2, "p90": 2, "max": 2, "total": 4},
                "chosen": {"min": 2, "median": 2, "p90": 2, "max": 2, "total": 4},
                "rejected": {"min": 2, "median": 2, "p90": 2, "max": 2, "total": 4},
                "longest": {"min": 4, "median": 4, "p90": 4, "max": 4, "total": 8},
            },
        },
        "promptsInBoth": [5],
    }
    assert sentences(loaded.report) == [
        "3 rows to train on (train.json), 2 held out",
        "1 row of the training split left out: the same stands there before",
        "1 row of the held-out split left out: the same stands there before",
        "1 row left out: in the held-out split, too",
        "1 row kept whose prompt is in the held-out split, too",
    ]


@dataclass(frozen=True)
class Nothing:
    id: str
    splits: dict[str, Sequence[Any]]
    message: str


NOTHING = [
    Nothing("no data named", {}, "no training data is named\n  Give --data FILE, or data.train in the config."),
    Nothing(
        "every row is held out",
        {"train": [plain()], "eval": [plain()]},
        "no training row is left\n  Every one stands in the held-out split too.\n  Name other training data.",
    ),
]


@pytest.mark.parametrize("case", NOTHING, ids=lambda case: case.id)
def test_nothing_to_train_on_is_refused(case: Nothing, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        load_data(config_of(tmp_path, case.splits), Letters)
    assert str(refused.value) == case.message
