"""From files to rows: every known form and kind of file, and every way in which a row can be bad."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from ruamel.yaml import YAML

from takeover.errors import Refused
from training.datasets.formats import BadRow, Example, Message, Text, parse_row
from training.datasets.sources import RawRow, Source, read_source, source_digest

CASES = Path(__file__).parent
YAML_CASES = YAML(typ="safe")
FORMS = YAML_CASES.load(CASES / "row_forms.yaml")
MISTAKES = YAML_CASES.load(CASES / "row_mistakes.yaml")


def as_text(part: Any) -> Text | None:
    """`[[role, content], ...]` as messages; text and None as they are."""
    return tuple(Message(*pair) for pair in part) if isinstance(part, list) else part


@pytest.mark.parametrize("case", FORMS, ids=lambda case: case["id"])
def test_each_known_form_becomes_the_same_kind_of_row(case: dict[str, Any]) -> None:
    want = Example(1, *(as_text(case.get(part)) for part in ("prompt", "chosen", "rejected")))  # type: ignore[arg-type]
    assert parse_row(RawRow(1, case["value"]), needs_rejected=not case.get("sft", False)) == want


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case["id"])
def test_a_row_that_cannot_be_used_is_named_with_all_its_reasons(case: dict[str, Any]) -> None:
    valid, change = (FORMS[0]["value"], case["plain"]) if "plain" in case else (FORMS[1]["value"], case["chat"])
    gone = {*change.get("without", []), "without"}
    value = {name: part for name, part in {**valid, **change}.items() if name not in gone}
    assert parse_row(RawRow(4, value), needs_rejected=True) == BadRow(4, tuple(case["reasons"]))


def test_half_a_character_is_named_because_no_tokenizer_takes_it() -> None:
    row = RawRow(1, {**FORMS[0]["value"], "chosen": "a\ud800"})
    assert parse_row(row, needs_rejected=True) == BadRow(1, ('"chosen" holds half a character (a lone surrogate)',))


@dataclass(frozen=True)
class File:
    id: str
    name: str
    content: bytes
    rows: tuple[RawRow, ...]


CELLS = {"prompt": "Hi, you?", "chosen": "a\nb", "rejected": "c"}
JSONL = b"""{"a": 1}\r

{"a":
[1]
{"a": 1, "a": 2}
{"a": "\xff"}
"""
CSV = b"""prompt,chosen,rejected
"Hi, you?","a
b",c
1,2,3,4,5
1,2
"""
FILES = [
    File(
        "JSON",
        "a.json",
        json.dumps([CELLS, 3]).encode(),
        (RawRow(1, CELLS), RawRow(2, None, "is a number, not an object with fields")),
    ),
    File("JSON with a byte order mark", "a.json", b'\xef\xbb\xbf[{"a": 1}]', (RawRow(1, {"a": 1}),)),
    File(
        "JSONL, counted by lines",
        "a.jsonl",
        JSONL,
        (
            RawRow(1, {"a": 1}),
            RawRow(3, None, "is not valid JSON: Expecting value, column 6"),
            RawRow(4, None, "is a list, not an object with fields"),
            RawRow(5, None, "is not read: the key 'a' stands twice"),
            RawRow(6, None, "is not UTF-8 text: byte 7 of the line is wrong"),
        ),
    ),
    File(
        "CSV, with a line break in a cell, a row with too much and one with too little",
        "a.csv",
        CSV,
        (
            RawRow(1, CELLS),
            RawRow(2, None, "has 2 more cells than the header has columns"),
            RawRow(3, {"prompt": "1", "chosen": "2"}),
        ),
    ),
    File(
        "CSV with messages as JSON",
        "a.csv",
        b'chosen,rejected\n"{""from"": ""gpt"", ""value"": ""x""}",[{] no JSON\n',
        (RawRow(1, {"chosen": {"from": "gpt", "value": "x"}, "rejected": "[{] no JSON"}),),
    ),
]


def read(folder: Path, case: File) -> tuple[RawRow, ...]:
    (folder / case.name).write_bytes(case.content)
    return read_source(Source(str(folder / case.name)))


@pytest.mark.parametrize("case", FILES, ids=lambda case: case.id)
def test_rows_are_read_with_their_numbers_and_unreadable_ones_are_kept(case: File, tmp_path: Path) -> None:
    assert read(tmp_path, case) == case.rows


def test_parquet_is_read_with_nested_messages_and_without_nulls(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "Hi?"}]
    rows = [{"prompt": messages, "chosen": "a", "score": None}, {"prompt": None, "chosen": "b", "score": 2}]
    pa.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert read_source(Source(str(tmp_path / "a.parquet"))) == (
        RawRow(1, {"prompt": messages, "chosen": "a"}),
        RawRow(2, {"chosen": "b", "score": 2}),
    )


@dataclass(frozen=True)
class Refusal:
    id: str
    place: str
    content: bytes
    message: str


REFUSALS = [
    Refusal(
        "another kind of file",
        "a.txt",
        b"x",
        "a.txt is no kind of data that is read here\n  Read are .csv, .json, .jsonl, .ndjson, .parquet.\n"
        "  Convert it, or name it after what it is.",
    ),
    Refusal("an empty list", "a.json", b"[]", "a.json holds no rows\n  Name a file with preference pairs."),
    Refusal("only blank lines", "a.jsonl", b"\n \n", "a.jsonl holds no rows\n  Name a file with preference pairs."),
    Refusal(
        "JSON that is an object",
        "a.json",
        b'{"a": 1}',
        "a.json holds an object, not a list of rows\n  Write [ {...}, {...} ], or JSONL.",
    ),
    Refusal(
        "JSONL that is called JSON",
        "a.json",
        b'{"a": 1}\n{"a": 2}',
        "a.json is not valid JSON: Extra data, line 2, column 1\n  If it holds one object a line, name it .jsonl.",
    ),
    Refusal("JSON that nests too deeply", "a.json", b"[" * 100_000, "a.json is not read: it nests too deeply"),
    Refusal(
        "Parquet that was cut off",
        "a.parquet",
        b"PAR1",
        "a.parquet is not valid Parquet: Could not open Parquet input source '<Buffer>': Parquet file size is 4 bytes, "
        "smaller than the minimum file footer (8 bytes)",
    ),
    Refusal(
        "CSV that is no text", "a.csv", b"a\n\xff", "a.csv is not UTF-8 text: byte 2 is wrong\n  Save it as UTF-8."
    ),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.id)
def test_a_file_that_cannot_be_read_at_all_is_refused(
    case: Refusal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(case.place).write_bytes(case.content)
    with pytest.raises(Refused) as refused:
        read_source(Source(case.place))
    assert str(refused.value) == case.message


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(Refused, match=r"^there is no data file none\.jsonl\n  Name an existing file with --data\.$"):
        read_source(Source("none.jsonl"))


@pytest.mark.parametrize("place", ["hub:acme/pairs", "hub:acme/pairs@main", "hub:acme/pairs@0123abc"])
def test_a_data_set_without_a_commit_is_refused(place: str) -> None:
    with pytest.raises(Refused, match=f"the data set '{place}' is not pinned"):
        read_source(Source(place))


def test_a_data_set_on_the_hub_is_loaded_at_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def load_dataset(*arguments: Any, **named: Any) -> list[dict[str, Any]]:
        asked.append((arguments, named))
        return [{"prompt": "a"}]

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    source = Source("hub:acme/pairs@" + "a" * 40, split="train[:5]", subset="en")
    assert read_source(source) == (RawRow(1, {"prompt": "a"}),)
    assert asked == [(("acme/pairs", "en"), {"split": "train[:5]", "revision": "a" * 40})]
    assert source_digest(source) == f"hub:acme/pairs@{'a' * 40}:en:train[:5]"


def test_a_data_set_that_cannot_be_had_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    # Read at import, which may have been before the variable was set; without it the library tries for 20 seconds.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(Refused, match=r"the data set hub:acme/none@0{40} \(split train\) cannot be loaded"):
        read_source(Source("hub:acme/none@" + "0" * 40))


def test_the_demo_pairs_are_all_good_and_none_is_held_out_that_was_trained_on() -> None:
    folder = Path(__file__).parents[2] / "examples" / "support-tone"
    rows = {
        name: [parse_row(row, needs_rejected=True) for row in read_source(Source(str(folder / f"{name}.jsonl")))]
        for name in ("train", "eval")
    }
    assert {name: [type(row) for row in split] for name, split in rows.items()} == {
        "train": [Example] * 60,
        "eval": [Example] * 12,
    }
    prompts = [row.prompt for split in rows.values() for row in split if isinstance(row, Example)]
    assert len(set(prompts)) == 72
