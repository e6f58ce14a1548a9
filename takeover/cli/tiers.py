"""Commands: `takeover tiers`. Reads the registry and nothing else, so that it answers at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from takeover.cli._terminal import err, out, print_json
from takeover.tiers import Feature, No, Tier, Yes, all_tiers, tier

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command()(tiers)


def tiers(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One tier, in words, or NAME/CLUSTER.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document, for a program.")] = False,
) -> None:
    """What each hosting tier can and cannot do; with a name, one tier with its reasons."""
    first, _, cluster = (name or "").partition("/")
    chosen = [tier(first, cluster or None)] if name is not None else list(all_tiers())
    if json:
        values = [_plain(record) for record in chosen]
        print_json(values[0] if name is not None else values)
    elif name is not None:
        for label, value in _rows(chosen[0]):
            out.print(f"{label:<36}{value}".rstrip(), markup=False)
    else:
        _print_matrix(chosen)
        err.print("One of them, with the reasons: takeover tiers NAME", markup=False, style="dim")


def _print_matrix(records: list[Tier]) -> None:
    """Two tables that fit a narrow terminal: what each tier is, and by its number there what it can."""
    from rich.table import Column, Table

    what = Table("", Column("tier", no_wrap=True), "kind", Column("environments", min_width=12), "cold start")
    for number, record in enumerate(records, 1):
        kind, environments, cold_start, *_ = (value for _, value in _facts(record))
        what.add_row(str(number), record.row, kind, environments, cold_start)
    can = Table(Column("", no_wrap=True), *(str(number) for number, _ in enumerate(records, 1)))
    for feature in Feature:
        can.add_row(feature.value, *(_word(record.supports[feature]) for record in records))
    out.print(what, soft_wrap=False)
    out.print(can, soft_wrap=False)


def _facts(record: Tier) -> Iterator[tuple[str, str]]:
    """What fits a cell."""
    cold = record.cold_start
    yield "kind", record.kind.value
    yield "environments", ", ".join(record.environments)
    yield "cold start", f"{cold.low_ms / 1000:g} to {cold.high_ms / 1000:g} s"
    yield "largest rank", str(record.largest_rank)


def _rows(record: Tier) -> Iterator[tuple[str, str]]:
    """The whole record in words."""
    yield "tier", record.row
    yield "what it is", record.summary
    yield from _facts(record)
    yield "variables", ", ".join(record.environment_variables) or "none"
    yield "source of the cold start", f"{record.cold_start.source} ({record.cold_start.date})"
    yield "autoscaling signal", record.autoscaling_signal
    for feature in Feature:
        yield feature.value, _sentence(record.supports[feature])
    for kind, answers in (("cluster", record.clusters), ("engine", record.engines)):
        for name, answer in answers.items():
            yield f"{kind}: {name}", _sentence(answer)


def _word(answer: Yes | No) -> str:
    return "yes" if isinstance(answer, Yes) else "no"


def _sentence(answer: Yes | No) -> str:
    if isinstance(answer, Yes):
        return f"yes, {answer.note}" if answer.note else "yes"
    return f"no: {answer.reason}; use {answer.instead}"


def _answer(answer: Yes | No) -> dict[str, Any]:
    if isinstance(answer, Yes):
        return {"answer": True, "note": answer.note}
    return {"answer": False, "reason": answer.reason, "instead": answer.instead}


def _answers(answers: Mapping[Any, Yes | No]) -> dict[str, Any]:
    return {str(name): _answer(answer) for name, answer in answers.items()}


def _plain(record: Tier) -> dict[str, Any]:
    cold = record.cold_start
    return {
        "name": record.name,
        "cluster": record.cluster,
        "kind": record.kind.value,
        "summary": record.summary,
        "environmentVariables": list(record.environment_variables),
        "environments": list(record.environments),
        "coldStart": {"lowMs": cold.low_ms, "highMs": cold.high_ms, "source": cold.source, "date": cold.date},
        "autoscalingSignal": record.autoscaling_signal,
        "largestRank": record.largest_rank,
        "supports": _answers(record.supports),
        "clusters": _answers(record.clusters),
        "engines": _answers(record.engines),
    }
