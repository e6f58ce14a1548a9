"""Taking repeats out and holding rows back. Pure: the same rows and seed give the same splits."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from training.datasets.formats import Example, Text

__all__ = [
    "Cleaned",
    "Repeat",
    "as_ranges",
    "hold_out",
    "rows_digest",
    "without_repeats",
    "without_shared",
]


@dataclass(frozen=True)
class Repeat:
    """Row `number` says what row `same_as` says already (of the same split, or of the held-out one)."""

    number: int
    same_as: int


@dataclass(frozen=True)
class Cleaned:
    kept: tuple[Example, ...]
    removed: tuple[Repeat, ...]


def without_repeats(examples: Sequence[Example]) -> Cleaned:
    """Keep the first of rows that say the same, whatever their spacing at the ends or their Unicode form."""
    return _without(examples, {}, remember=True)


def without_shared(examples: Sequence[Example], held_out: Sequence[Example]) -> Cleaned:
    """Drop the training rows that stand in the held-out split: what was trained on proves nothing."""
    return _without(examples, {_identity(row): row.number for row in held_out}, remember=False)


def _without(examples: Sequence[Example], seen: dict[str, int], *, remember: bool) -> Cleaned:
    kept: list[Example] = []
    removed: list[Repeat] = []
    for example in examples:
        identity = _identity(example)
        if identity in seen:
            removed.append(Repeat(example.number, seen[identity]))
            continue
        kept.append(example)
        if remember:
            seen[identity] = example.number
    return Cleaned(tuple(kept), tuple(removed))


def hold_out(
    examples: Sequence[Example], fraction: float, seed: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Split off a share (rounded, at least one row, when above zero); rows of one prompt stay on one side.

    Which ones depends on the seed and each prompt alone, not on the order of the rows. Returns (training, held out),
    both in the order given.
    """
    wanted = max(1, round(len(examples) * fraction)) if fraction > 0 and len(examples) > 1 else 0
    ordered = sorted(examples, key=lambda row: (_draw(row, seed), row.number))
    chosen: set[int] = set()
    last = ""
    for row in ordered:
        if len(chosen) >= wanted and _prompt(row) != last:
            break
        chosen.add(row.number)
        last = _prompt(row)
    if len(chosen) in (0, len(examples)):
        return tuple(examples), ()
    return (
        tuple(row for row in examples if row.number not in chosen),
        tuple(row for row in examples if row.number in chosen),
    )


def rows_digest(*splits: Sequence[Example]) -> str:
    """SHA-256 over the rows of all splits in order, written canonically; row numbers do not count."""
    text = "\n\n".join("\n".join(_canonical(row) for row in split) for split in splits)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _canonical(example: Example) -> str:
    """The row as one line of JSON."""
    parts = {"prompt": example.prompt, "chosen": example.chosen, "rejected": example.rejected}
    return json.dumps({name: _plain(part) for name, part in parts.items()}, ensure_ascii=False, sort_keys=True)


def as_ranges(numbers: Iterable[int]) -> str:
    """`3, 7-9, 12` for [3, 7, 8, 9, 12]."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _plain(part: Text | None) -> object:
    return part if part is None or isinstance(part, str) else [asdict(message) for message in part]


def _normal(part: Text | None) -> object:
    if part is None or isinstance(part, str):
        return unicodedata.normalize("NFC", (part or "").strip())
    return [[message.role, _normal(message.content)] for message in part]


def _identity(example: Example) -> str:
    return json.dumps([_normal(part) for part in (example.prompt, example.chosen, example.rejected)])


def _prompt(example: Example) -> str:
    return json.dumps(_normal(example.prompt))


def _draw(example: Example, seed: int) -> str:
    return hashlib.sha256(f"{seed}\n{_prompt(example)}".encode()).hexdigest()
