"""Commands for what is up already: `takeover metrics`, `takeover scale`, and `takeover status` of an outputs file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from takeover.cli._terminal import err, out, print_json
from takeover.errors import Refused

if TYPE_CHECKING:
    from takeover.engine.running import Running

__all__ = ["register", "show_status"]

_Stack = Annotated[str | None, typer.Option("--stack", "-s", help="The stack that deployed it (default: dev).")]
_Outputs = Annotated[Path | None, typer.Option("--outputs", help="What `takeover deploy` wrote, instead of a stack.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON document, for a program.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command()(metrics)
    app.command()(scale)


def metrics(stack: _Stack = None, outputs: _Outputs = None, json: _Json = False) -> None:
    """The figures: requests, errors, latency, tokens, queue, replicas; "unknown" where the vendor has none."""
    from takeover.engine.running import figures

    found = figures(_running(stack, outputs)).model_dump(mode="json", by_alias=True)
    if json:
        print_json(found)
        return
    from rich.table import Table

    table = Table("figure", "value")
    for name, value in found.items():
        table.add_row(_words(name), "unknown" if value is None else f"{value:,}")
    out.print(table, soft_wrap=False)


def scale(
    replicas: Annotated[int, typer.Argument(metavar="N", help="How many replicas.", show_default=False)],
    stack: _Stack = None,
    outputs: _Outputs = None,
    json: _Json = False,
) -> None:
    """Ask for so many replicas now; the next `up` or `deploy` brings back what the settings say."""
    from takeover.engine import running

    endpoint = _running(stack, outputs)
    running.scale(endpoint, replicas)
    if json:
        print_json({"name": endpoint.name, "replicas": replicas})
        return
    err.print(f"asked for {replicas} of {endpoint.name}; to keep it, write it into the settings", markup=False)


def show_status(outputs: Path, as_json: bool) -> None:
    """`takeover status --outputs FILE`: what is really served; exit code 4 when it is gone or does not answer."""
    from takeover.engine import running

    endpoint = running.of_outputs(outputs)
    found = running.inspect(endpoint)
    if as_json:
        shown = None if found is None else found.model_dump(mode="json", by_alias=True, exclude={"endpoint"})
        print_json({"outputs": str(outputs), "name": endpoint.name, "found": shown})
    elif found is None:
        out.print(f"{outputs}: not up. To put it up: {endpoint.fix}", markup=False)
    else:
        rows = {
            "url": found.endpoint.url,
            "models": ", ".join(found.models) or "none",
            "digests": ", ".join(found.digests) or "none",
            "replicas": "unknown" if found.replicas is None else found.replicas,
            "hardware": found.hardware or "unknown",
            "health": "answers" if found.healthy and not found.reason else found.reason or "does not answer",
        }
        out.print(f"{outputs}: up, as {endpoint.name}", markup=False)
        for name, value in rows.items():
            out.print(f"  {name:<9} {value}", markup=False)
    if found is None or not found.healthy:
        raise typer.Exit(4)


def _running(stack: str | None, outputs: Path | None) -> Running:
    from takeover.engine.running import of_outputs, of_stack

    if stack is not None and outputs is not None:
        raise Refused("--stack and --outputs are both given", fix="Give one of the two.")
    return of_outputs(outputs) if outputs is not None else of_stack(stack or "dev")


def _words(name: str) -> str:
    """`latencyP50Ms` as `latency p50 ms`."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
