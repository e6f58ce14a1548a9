"""Commands: `takeover ask`, `takeover outputs`, `takeover adapter use`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from unicodedata import category

import typer

from takeover.cli._terminal import err, out, print_json
from takeover.cli.adapter import adapter_app
from takeover.errors import Refused, VendorError

if TYPE_CHECKING:
    from takeover.adapter import Adapter
    from takeover.client import Client, Reply
    from takeover.client.sources import Source

__all__ = ["register"]

_Stack = Annotated[str | None, typer.Option("--stack", "-s", help="The stack that deployed it (default: dev).")]
_Outputs = Annotated[Path | None, typer.Option("--outputs", help="A file with the outputs, instead of a stack.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON document, for a program.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands; `use` joins the sub-command `adapter`."""
    app.command()(ask)
    app.command()(outputs)
    adapter_app.command()(use)


def ask(
    prompt: Annotated[str | None, typer.Argument(help="The question; without it, what is piped in.")] = None,
    stack: _Stack = None,
    outputs_file: _Outputs = None,
    adapter: Annotated[str | None, typer.Option(help="An adapter's name (default: the first one).")] = None,
    beside_base: Annotated[bool, typer.Option("--beside-base", help="Base and adapter, at temperature 0.")] = False,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="At most so many tokens of answer.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2, help="0 is always the same answer.")] = None,
    json: _Json = False,
) -> None:
    """Ask what is deployed; the answer appears as it is written."""
    from takeover.client import Client

    question = _question(prompt)
    client = Client(_source(stack, outputs_file))
    given = {"max_tokens": max_tokens, "temperature": temperature}
    options = {name: value for name, value in given.items() if value is not None}
    if beside_base:
        _ask_beside_base(client, question, adapter, options, as_json=json)
    elif json:
        print_json(client.chat(question, adapter=adapter, **options).to_json())
    else:
        _print_as_it_comes(client.stream(question, adapter=adapter, **options))


def outputs(
    stack: _Stack = None,
    outputs_file: _Outputs = None,
    json: _Json = False,
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="With the key in clear.")] = False,
    example: Annotated[bool, typer.Option("--example", help="An example, without an endpoint.")] = False,
) -> None:
    """Show what applications get: the typed object `endpoint`."""
    from takeover import outputs as types

    endpoint = types.example() if example else _source(stack, outputs_file)()
    if json:
        print_json(endpoint.to_json(show_secrets=show_secrets))
    else:
        for name, value in _rows(endpoint.to_json(show_secrets=show_secrets)):
            out.print(f"{name:<14}{value}", markup=False)


def use(
    source: Annotated[
        str, typer.Argument(metavar="DIR|ADDRESS", help="A folder, or hf://, s3://, gs://.", show_default=False)
    ],
    stack: Annotated[str, typer.Option("--stack", "-s", help="The stack whose file is written.")] = "dev",
    json: _Json = False,
) -> None:
    """Write where an adapter is and its digest into a stack's file, keeping its comments.

    A branch or tag of an address is resolved once: the commit is written.
    """
    from takeover.engine.project import stack_file
    from takeover.home import project_root
    from takeover.stackfile import use_adapter

    root = project_root()
    path = stack_file(root, stack)
    text, adapter = _verified_source(source, root)
    changed = use_adapter(path, source=text, digest=adapter.digest, keep=_needs_previous(path))
    if json:
        print_json({"file": path.name, "changed": changed, "source": text, "digest": adapter.digest})
        return
    out.print(f"{path.name} {'now names' if changed else 'names already'} {adapter.served_name}:", markup=False)
    out.print(f"  source: {text}\n  digest: {adapter.digest}", markup=False)
    err.print(f"See what it would change: takeover preview --stack {stack}", markup=False)


def _needs_previous(path: Path) -> bool:
    """Whether servers of a new version on this stack's tier must be told of the one before."""
    import json

    from takeover.errors import Refused
    from takeover.settings import raw_from_stack_file
    from takeover.tiers import tier

    try:
        hosting = json.loads(raw_from_stack_file(path).get("hosting", "{}"))
        return not tier(str(hosting.get("provider")), hosting.get("cluster")).keeps_previous
    except (Refused, ValueError, AttributeError):
        return False  # `takeover preview` says what is wrong with it


def _verified_source(source: str, root: Path) -> tuple[str, Adapter]:
    """The text that the stack's file gets, and the adapter, opened or pulled and so verified."""
    from takeover.adapter import open_adapter
    from takeover.cli.registry import resolved, tell
    from takeover.registry import is_address, parse_address, pull

    if not is_address(source):
        folder = Path(source).expanduser()
        return _source_text(folder.resolve(), root), open_adapter(folder)
    place = resolved(parse_address(source), None)
    adapter = pull(place, say=tell)
    if place.kind == "file":
        place = replace(place, path=_source_text(Path(place.path).expanduser().resolve(), root))
    return str(place), adapter


def _source_text(folder: Path, root: Path) -> str:
    """Relative to the project's root where it lies inside, so that the file means the same in every clone."""
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.as_posix()


def _question(prompt: str | None) -> str:
    text = prompt if prompt is not None or sys.stdin.isatty() else sys.stdin.read()
    if text is None or not text.strip():
        raise Refused("there is no question", fix='Type one, or pipe it in: takeover ask "How do I reset my password?"')
    return text


def _source(stack: str | None, outputs_file: Path | None) -> Source:
    from takeover.client.sources import StackSource, file_source

    if stack is not None and outputs_file is not None:
        raise Refused("--stack and --outputs are both given", fix="Give one of the two.")
    return file_source(outputs_file) if outputs_file is not None else StackSource(stack or "dev")


def _print_as_it_comes(texts: Iterable[str]) -> None:
    text, shown = "", _harmless if sys.stdout.isatty() else str
    try:
        for text in texts:
            sys.stdout.write(shown(text))
            sys.stdout.flush()
    finally:
        if text and not text.endswith("\n"):
            sys.stdout.write("\n")


def _harmless(text: str) -> str:
    """Without the control characters that a terminal obeys: what a model writes is not to be trusted."""
    return "".join(letter for letter in text if letter in "\n\t" or category(letter) != "Cc")


def _ask_beside_base(
    client: Client, question: str, adapter: str | None, options: dict[str, Any], *, as_json: bool
) -> None:
    base, ours = asyncio.run(_both(client, question, adapter, {"temperature": 0, **options}))
    if as_json:
        print_json({"prompt": question, "base": base.to_json(), "adapter": ours.to_json()})
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(show_lines=True)
    for reply, title in ((base, "base"), (ours, "adapter")):
        table.add_column(Text(f"{title}: {reply.model}"), ratio=1, overflow="fold")
    table.add_row(*(Text(_harmless(reply.text).strip()) for reply in (base, ours)))
    out.print(table, soft_wrap=False)


async def _both(client: Client, question: str, adapter: str | None, options: dict[str, Any]) -> tuple[Reply, Reply]:
    """The base's answer and the adapter's, asked at once."""
    try:
        base = await _base_of(client)
        return await asyncio.gather(
            client.achat(question, model=base, **options), client.achat(question, adapter=adapter, **options)
        )
    finally:
        await client.aclose()


async def _base_of(client: Client) -> str:
    """The name under which the endpoint serves its base: the model without a parent."""
    async with client.async_openai() as sdk:
        async for model in sdk.models.list():
            if getattr(model, "parent", None) is None:
                return model.id
    raise VendorError("the endpoint does not serve its base", why="Each model that it lists has a parent.")


def _rows(value: dict[str, Any]) -> list[tuple[str, str]]:
    """The object for a person, one line a fact."""
    cold, replicas, plan = value["coldStart"], value["replicas"], value["plan"]
    rows = [(name, value[name]) for name in ("provider", "url", "protocol", "model", "digest")]
    rows += [("also served", each["model"]) for each in value["adapters"][1:]]
    rows += [("regions", ", ".join(value["regions"]))] if value["regions"] else []
    rows += [("apiKey", value["apiKey"] or "none is asked for")]
    measured = f", measured {cold['measuredMs']} ms" if cold["measuredMs"] is not None else ""
    rows += [("coldStart", f"expected at most {cold['expectedMs']} ms{measured}")]
    ready = f", {replicas['ready']} ready" if replicas["ready"] is not None else ""
    rows += [("replicas", f"{replicas['min']} to {replicas['max']}{ready}")]
    rows += [("plan", f"{plan['monthlyUsd']:.2f} USD a month, {plan['perMillionTokensUsd']:.2f} per million tokens")]
    return rows + [("fallback", f"{each['provider']} at {each['url']}") for each in value["fallback"]]
