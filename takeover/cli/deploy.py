"""Commands without an engine: deploy, and the part of destroy that undoes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from takeover.cli._terminal import err, out, print_json
from takeover.errors import Refused

__all__ = ["register", "take_down"]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command()(deploy)


def deploy(
    adapter: Annotated[
        list[str], typer.Option(metavar="DIR|ADDRESS", help="A folder or an address; given again, several on one base.")
    ],
    outputs: Annotated[Path, typer.Option(help="The file for what an application needs, its key included (mode 600).")],
    provider: Annotated[str, typer.Option(help="The tier: `takeover tiers` lists them.")] = "local",
    cluster: Annotated[str | None, typer.Option(help="Which kind of cluster, where the tier has a choice.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="One of the tier's own options (docs/settings.md).")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document on stdout; the key reads [secret].")
    ] = False,
) -> None:
    """Serve an adapter without the Pulumi engine: no state, no preview, no refresh. `takeover up` is the real thing."""
    from takeover.engine.engineless import put_up

    err.print("Without an engine: no state, no preview, no refresh.", style="dim")
    try:
        with _progress():
            made = put_up(provider, adapter, outputs, cluster=cluster, options=_options(option or ()), say=_tell)
    except KeyboardInterrupt:
        err.print(f"stopped; what was begun goes with: takeover destroy --outputs {outputs}", markup=False)
        raise
    if as_json:
        print_json(made.to_json())
        return
    out.print(f"url       {made.url}\nmodel     {made.model}\noutputs   {outputs}", markup=False)
    err.print(f'Ask it: takeover ask "..." --outputs {outputs}', markup=False, style="dim")


def _options(given: Sequence[str]) -> dict[str, Any]:
    """`KEY=VALUE`s as a stack file would have them: a number, true, a list; else the text as it is."""
    options: dict[str, Any] = {}
    for text in given:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise Refused(f"--option {text} is no KEY=VALUE", fix="Write, for example, --option drainSeconds=10.")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options


def _tell(text: str) -> None:
    err.print(f"  {text}", markup=False)


def take_down(outputs: Path, as_json: bool) -> None:
    """`takeover destroy --outputs FILE`."""
    from takeover.engine.engineless import take_down as remove

    with _progress():
        found = remove(outputs)
    if as_json:
        print_json({"outputs": str(outputs), "removed": found})
        return
    err.print(f"{'removed' if found else 'nothing was up for'} {outputs}", markup=False, style="bold")


@contextmanager
def _progress() -> Iterator[None]:
    """The provider's sentences on stderr, each once."""
    from takeover.providers._progress import reporting

    said = ""

    def hear(_step: str, sentence: str) -> None:
        nonlocal said
        if sentence != said:
            err.print(f"  {sentence}", markup=False)
        said = sentence

    with reporting(hear):
        yield
