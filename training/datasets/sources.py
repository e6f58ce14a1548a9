"""Reading rows out of files (JSON, JSONL, CSV, Parquet) and the Hub, before anybody asks what they mean.

A row that cannot even be read is kept, with its reason, so that it is named together with the other bad ones.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from takeover.errors import Refused

__all__ = ["RawRow", "Source", "is_hub", "read_source", "source_digest"]

_HUB = re.compile(r"hub:(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)@(?P<revision>[0-9a-f]{40})", re.ASCII)


@dataclass(frozen=True)
class RawRow:
    """One row as it stands. `number` counts from 1: the line in JSONL, the record under the header in CSV.

    `value` is None when the row cannot be read; `unreadable` then says why.
    """

    number: int
    value: Mapping[str, Any] | None
    unreadable: str = ""


@dataclass(frozen=True)
class Source:
    """A place that holds rows: a file's path, or `hub:org/name@<commit>` with its split and subset."""

    place: str
    split: str = "train"
    subset: str | None = None

    @property
    def label(self) -> str:
        """Short name for messages and reports: never a path of this machine."""
        return f"{self.place}:{self.split}" if is_hub(self.place) else Path(self.place).name


def is_hub(place: str) -> bool:
    return place.startswith("hub:")


def read_source(source: Source) -> tuple[RawRow, ...]:
    """All rows of a source, in order. Refused when it is absent, of no known kind, unreadable as a whole, or empty."""
    if is_hub(source.place):
        return _from_hub(source)
    path = Path(source.place)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise Refused(
            f"{path} is no kind of data that is read here",
            why=f"Read are {', '.join(sorted(_READERS))}.",
            fix="Convert it, or name it after what it is.",
        )
    rows = reader(_bytes(path), str(path))
    if not rows:
        raise Refused(f"{path} holds no rows", fix="Name a file with preference pairs.")
    return rows


def source_digest(source: Source) -> str:
    """What pins the source's content, without parsing it: the file's SHA-256, or the Hub's commit, split and subset."""
    if is_hub(source.place):
        return ":".join(filter(None, (source.place, source.subset, source.split)))
    return "sha256:" + hashlib.sha256(_bytes(Path(source.place))).hexdigest()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise Refused(f"there is no data file {path}", fix="Name an existing file with --data.") from None
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from error


class _DuplicateKey(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise _DuplicateKey(f"the key {twice!r} stands twice")
    return fields


def _parse_json(data: bytes | str) -> Any:
    return json.loads(data, object_pairs_hook=_unique)


def _as_row(number: int, value: Any) -> RawRow:
    if isinstance(value, Mapping):
        return RawRow(number, value)
    return RawRow(number, None, f"is {_kind(value)}, not an object with fields")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _read_json(data: bytes, name: str) -> tuple[RawRow, ...]:
    try:
        value = _parse_json(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise Refused(f"{name} is not UTF-8 text: byte {error.start} is wrong", fix="Save it as UTF-8.") from error
    except json.JSONDecodeError as error:
        raise Refused(
            f"{name} is not valid JSON: {error.msg}, line {error.lineno}, column {error.colno}",
            fix="If it holds one object a line, name it .jsonl.",
        ) from error
    except RecursionError as error:
        raise Refused(f"{name} is not read: it nests too deeply") from error
    except _DuplicateKey as error:
        raise Refused(f"{name} is not read: {error}") from error
    if not isinstance(value, list):
        raise Refused(f"{name} holds {_kind(value)}, not a list of rows", fix="Write [ {...}, {...} ], or JSONL.")
    return tuple(_as_row(number, row) for number, row in enumerate(value, start=1))


def _read_jsonl(data: bytes, name: str) -> tuple[RawRow, ...]:
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return tuple(_json_line(number, line) for number, line in enumerate(lines, start=1) if line.strip())


def _json_line(number: int, line: bytes) -> RawRow:
    try:
        return _as_row(number, _parse_json(line.decode("utf-8")))
    except UnicodeDecodeError as error:
        return RawRow(number, None, f"is not UTF-8 text: byte {error.start} of the line is wrong")
    except json.JSONDecodeError as error:
        return RawRow(number, None, f"is not valid JSON: {error.msg}, column {error.colno}")
    except RecursionError:
        return RawRow(number, None, "is not read: it nests too deeply")
    except _DuplicateKey as error:
        return RawRow(number, None, f"is not read: {error}")


def _read_csv(data: bytes, name: str) -> tuple[RawRow, ...]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(f"{name} is not UTF-8 text: byte {error.start} is wrong", fix="Save it as UTF-8.") from error
    csv.field_size_limit(2**31 - 1)
    try:
        records = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise Refused(f"{name} is not valid CSV: {error}") from error
    return tuple(_csv_record(number, record) for number, record in enumerate(records, start=1))


def _csv_record(number: int, record: dict[str | None, Any]) -> RawRow:
    if None in record:
        return RawRow(number, None, f"has {len(record[None])} more cells than the header has columns")
    return RawRow(number, {str(key): _cell(value) for key, value in record.items() if value is not None})


def _cell(text: str) -> Any:
    """Messages stand in a CSV cell as JSON; everything else is the text itself."""
    if text.lstrip()[:2] not in ("[{", '{"'):
        return text
    try:
        value = _parse_json(text)
    except ValueError:
        return text
    first = value[0] if isinstance(value, list) else value
    is_message = isinstance(first, dict) and ({"role", "content"} <= set(first) or {"from", "value"} <= set(first))
    return value if is_message else text


def _read_parquet(data: bytes, name: str) -> tuple[RawRow, ...]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(io.BytesIO(data))
    except (pyarrow.ArrowException, OSError) as error:
        raise Refused(f"{name} is not valid Parquet: {str(error).splitlines()[0]}") from error
    rows = (
        {key: value for key, value in row.items() if value is not None} for row in table.to_pylist(maps_as_pydicts=None)
    )
    return tuple(RawRow(number, row) for number, row in enumerate(rows, start=1))


def _from_hub(source: Source) -> tuple[RawRow, ...]:
    match = _HUB.fullmatch(source.place)
    if match is None:
        raise Refused(
            f"the data set {source.place!r} is not pinned",
            why="A branch moves; the adapter's data digest must stay true.",
            fix="Write hub:org/name@<40-hex commit>; the commits stand on the data set's page, under Files, History.",
        )
    import datasets

    try:
        rows = datasets.load_dataset(match["name"], source.subset, split=source.split, revision=match["revision"])
    except (OSError, ValueError, RuntimeError) as error:
        raise Refused(
            f"the data set {source.place} (split {source.split}) cannot be loaded",
            why=str(error).splitlines()[0],
            fix="Check name, commit, split and subset; a private one needs HF_TOKEN in the environment.",
        ) from error
    return tuple(_as_row(number, dict(row)) for number, row in enumerate(rows, start=1))


_READERS: Mapping[str, Callable[[bytes, str], tuple[RawRow, ...]]] = {
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
