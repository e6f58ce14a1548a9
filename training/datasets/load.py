"""From sources to two checked splits: read, normalise, refuse bad rows, drop repeats, hold out, report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from takeover.errors import Refusals, Refused
from training.config import DataConfig, TrainingConfig
from training.datasets.clean import as_ranges, hold_out, rows_digest, without_repeats, without_shared
from training.datasets.formats import BadRow, Example, parse_row
from training.datasets.lengths import Lengths, Tokenizer, measure
from training.datasets.report import SplitFacts, data_report
from training.datasets.sources import Source, read_source

__all__ = ["Loaded", "load_data", "sources_of"]

_SHOWN_ONE_BY_ONE = 50


@dataclass(frozen=True)
class Loaded:
    """What a run trains and evaluates on. `digest` pins exactly these rows; `report` is plain data."""

    train: tuple[Example, ...]
    held_out: tuple[Example, ...]
    digest: str
    report: Mapping[str, Any]


@dataclass(frozen=True)
class _Read:
    """One source, parsed: the rows that can be used, those that cannot, and the lengths (tokens) by row number."""

    source: Source
    good: tuple[Example, ...]
    bad: tuple[BadRow, ...]
    lengths: Mapping[int, Lengths]

    @property
    def rows(self) -> int:
        return len(self.good) + len(self.bad)


def sources_of(data: DataConfig) -> tuple[Source, Source | None]:
    """Training and held-out source of a config. Refused when there is no training data."""
    if data.train is None:
        raise Refused("no training data is named", fix="Give --data FILE, or data.train in the config.")
    held_out = None if data.eval is None else Source(data.eval, data.eval_split, data.subset)
    return Source(data.train, data.split, data.subset), held_out


def load_data(config: TrainingConfig, tokenizer_of: Callable[[], Tokenizer]) -> Loaded:
    """Read and check every row. Refusals name each bad row of both splits by number, with all its reasons.

    `tokenizer_of` is called once, after the files were read: it may download, but loads no weights.
    """
    sources = [source for source in sources_of(config.data) if source is not None]
    parsed = [_parse(source, pairs=config.method == "dpo") for source in sources]
    form = next((row.conversational for read in parsed for row in read.good), True)
    parsed = [_of_one_form(read, conversational=form) for read in parsed]
    tokenizer = tokenizer_of()
    parsed = [_short_enough(read, measure(read.good, tokenizer), config.max_length) for read in parsed]
    Refusals.raise_if_any("the data", [mistake for read in parsed for mistake in _mistakes(read)])
    return _clean(parsed[0], parsed[1] if len(parsed) > 1 else None, config)


def _parse(source: Source, *, pairs: bool) -> _Read:
    rows = [parse_row(row, needs_rejected=pairs) for row in read_source(source)]
    good = tuple(row for row in rows if isinstance(row, Example))
    return _Read(source, good, tuple(row for row in rows if isinstance(row, BadRow)), {})


def _of_one_form(read: _Read, *, conversational: bool) -> _Read:
    """A trainer takes chats or plain text, not both: the first good row decides."""
    names = {True: "a chat", False: "plain text"}
    reason = f"is {names[not conversational]}, while the first row is {names[conversational]}"
    others = tuple(BadRow(row.number, (reason,)) for row in read.good if row.conversational is not conversational)
    good = tuple(row for row in read.good if row.conversational is conversational)
    return _Read(read.source, good, read.bad + others, {})


def _short_enough(read: _Read, lengths: Sequence[Lengths], max_length: int) -> _Read:
    by_number = {row.number: length for row, length in zip(read.good, lengths, strict=True)}
    too_long = {number: length for number, length in by_number.items() if length.longest > max_length}
    bad = tuple(
        BadRow(number, (f"is too long: {length.longest} tokens, at most {max_length} (max_length)",))
        for number, length in too_long.items()
    )
    good = tuple(row for row in read.good if row.number not in too_long)
    return _Read(read.source, good, read.bad + bad, by_number)


def _mistakes(read: _Read) -> Iterator[Refused]:
    """One mistake a bad row; where there are very many, one a reason, with the rows as ranges."""
    bad = sorted(read.bad, key=lambda row: row.number)
    if len(bad) <= _SHOWN_ONE_BY_ONE:
        for row in bad:
            yield Refused("; ".join(row.reasons), where=f"{read.source.label}, row {row.number}")
        return
    by_reason: dict[str, list[int]] = {}
    for row in bad:
        for reason in row.reasons:
            by_reason.setdefault(reason.split(":")[0], []).append(row.number)
    for reason, numbers in by_reason.items():
        yield Refused(f"{reason}: rows {as_ranges(numbers)}", where=read.source.label)


def _clean(train: _Read, held_out: _Read | None, config: TrainingConfig) -> Loaded:
    unique = without_repeats(train.good)
    if held_out is None:
        training, held = hold_out(unique.kept, config.data.eval_fraction, config.seed)
        held_facts = SplitFacts(train.source.label, len(held), held, train.lengths)
        shared = without_shared(training, ())
    else:
        held_unique = without_repeats(held_out.good)
        held = held_unique.kept
        held_facts = SplitFacts(held_out.source.label, held_out.rows, held, held_out.lengths, held_unique.removed)
        shared = without_shared(unique.kept, held)
    if not shared.kept:
        raise Refused(
            "no training row is left",
            why="Every one stands in the held-out split too.",
            fix="Name other training data.",
        )
    digest = rows_digest(shared.kept, held)
    facts = SplitFacts(train.source.label, train.rows, shared.kept, train.lengths, unique.removed, shared.removed)
    report = data_report(facts, held_facts, digest=digest, max_length=config.max_length)
    return Loaded(shared.kept, held, digest, report)
