"""The data report: what went in, what was left out, how long it is. Plain data for `report/data.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from training.datasets.clean import Repeat
from training.datasets.formats import Example
from training.datasets.lengths import Lengths

__all__ = ["SplitFacts", "data_report", "sentences"]


@dataclass(frozen=True)
class SplitFacts:
    """One split after cleaning, with what was taken out. `source` is a file name or a Hub data set, never a path."""

    source: str
    rows_read: int
    kept: tuple[Example, ...]
    lengths: Mapping[int, Lengths]
    duplicates: tuple[Repeat, ...] = ()
    shared: tuple[Repeat, ...] = ()


def data_report(train: SplitFacts, held_out: SplitFacts, *, digest: str, max_length: int) -> dict[str, Any]:
    """The report as JSON values, camelCase; lengths are tokens of the base's tokenizer."""
    prompts = {example.prompt for example in held_out.kept}
    return {
        "schemaVersion": 1,
        "digest": digest,
        "form": "conversational" if train.kept[0].conversational else "plain",
        "maxLength": max_length,
        "train": _split(train),
        "heldOut": _split(held_out),
        "promptsInBoth": [example.number for example in train.kept if example.prompt in prompts],
    }


def sentences(report: Mapping[str, Any]) -> list[str]:
    """What a person should know before training, one line each."""
    train, held_out = report["train"], report["heldOut"]
    lines = [f"{train['rows']} rows to train on ({train['source']}), {held_out['rows']} held out"]
    for split, name in ((train, "training"), (held_out, "held-out")):
        if split["duplicatesRemoved"]:
            lines.append(
                f"{_rows(split['duplicatesRemoved'])} of the {name} split left out: the same stands there before"
            )
    if train["sharedWithHeldOutRemoved"]:
        lines.append(f"{_rows(train['sharedWithHeldOutRemoved'])} left out: in the held-out split, too")
    if report["promptsInBoth"]:
        lines.append(f"{_rows(report['promptsInBoth'])} kept whose prompt is in the held-out split, too")
    return lines


def _rows(listed: Sequence[object]) -> str:
    return f"{len(listed)} row" + ("s" if len(listed) > 1 else "")


def _split(facts: SplitFacts) -> dict[str, Any]:
    lengths = [facts.lengths[example.number] for example in facts.kept]
    return {
        "source": facts.source,
        "rowsRead": facts.rows_read,
        "rows": len(facts.kept),
        "duplicatesRemoved": [_repeat(repeat) for repeat in facts.duplicates],
        "sharedWithHeldOutRemoved": [_repeat(repeat) for repeat in facts.shared],
        "tokens": {
            "prompt": _spread([each.prompt for each in lengths]),
            "chosen": _spread([each.chosen for each in lengths]),
            "rejected": _spread([each.rejected for each in lengths if each.rejected is not None]),
            "longest": _spread([each.longest for each in lengths]),
        },
    }


def _repeat(repeat: Repeat) -> dict[str, int]:
    values = asdict(repeat)
    return {"row": values["number"], "sameAs": values["same_as"]}


def _spread(values: Sequence[int]) -> dict[str, float] | None:
    if not values:
        return None
    ordered = sorted(values)
    return {
        "min": ordered[0],
        "median": median(ordered),
        "p90": ordered[min(len(ordered) - 1, int(len(ordered) * 0.9))],
        "max": ordered[-1],
        "total": sum(ordered),
    }
