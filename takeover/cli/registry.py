"""Commands: `takeover push`, `takeover pull`, `takeover versions`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from takeover.cli._terminal import err, out, print_json

if TYPE_CHECKING:
    from takeover.adapter import Adapter
    from takeover.registry import Address, Version

__all__ = ["register", "resolved", "tell"]

_Json = Annotated[bool, typer.Option("--json", help="One JSON document, for a program.")]
_PLACES = "hf://org/name, s3://bucket/folder, gs://bucket/folder, or a folder"


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command()(push)
    app.command()(pull)
    app.command()(versions)


def push(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The adapter's folder.", show_default=False)],
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help=_PLACES, show_default=False)],
    private: Annotated[bool, typer.Option("--private", help="A repository that only its owners read (Hub).")] = False,
    tag: Annotated[str | None, typer.Option(help="The version's tag (Hub; default: 12 digits of the digest).")] = None,
    json: _Json = False,
) -> None:
    """Publish an adapter as one version, verified before it leaves and after it arrived. Twice is once."""
    from takeover import registry

    pushed = registry.push(folder, registry.parse_address(address), private=private, tag=tag, say=tell)
    if json:
        print_json(pushed.to_json())
        return
    out.print(str(pushed.address), markup=False)
    named = f", tagged {pushed.tag}" if pushed.tag else ""
    err.print(f"{'published' if pushed.created else 'was published before'}: {pushed.digest}{named}", markup=False)
    err.print(f"Deploy it: takeover adapter use {pushed.address} --stack staging", markup=False)


def pull(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="hf://org/name@COMMIT, or any address.")],
    digest: Annotated[str | None, typer.Option(help="The digest that it must have.", metavar="sha256:...")] = None,
    output: Annotated[Path | None, typer.Option("--out", help="Copy it here; must not exist.")] = None,
    json: _Json = False,
) -> None:
    """Fetch an adapter into the cache, verified, and print where it is. A branch or tag is resolved once, and said."""
    from takeover import registry

    place = resolved(registry.parse_address(address), digest)
    adapter = registry.pull(place, digest=digest, say=tell)
    path = _copied(adapter, output) if output is not None else adapter.path
    if json:
        print_json({"address": str(place), "digest": adapter.digest, "path": str(path)})
        return
    out.print(str(path), markup=False)
    err.print(f"{adapter.served_name} is whole: {adapter.digest}", markup=False)


def versions(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help=_PLACES, show_default=False)],
    json: _Json = False,
) -> None:
    """List what was published there, the newest first."""
    from takeover import registry

    found = registry.versions(registry.parse_address(address), say=tell)
    if json:
        print_json([each.to_json() for each in found])
    else:
        _print_table(found)


def tell(text: str) -> None:
    """One line of progress."""
    err.print(text, markup=False)


def resolved(address: Address, digest: str | None) -> Address:
    """The address as it can be pinned now; said, when that is more than the user wrote."""
    from takeover import registry

    if address.is_pinned or (address.kind != "hf" and digest is not None):
        return address
    place = registry.resolve(address)
    tell(f"{address} is {place.version} now")
    return place


def _copied(adapter: Adapter, output: Path) -> Path:
    from shutil import copytree

    from takeover.adapter import open_adapter
    from takeover.folders import new_folder

    with new_folder(output) as building:
        copytree(adapter.path, building, dirs_exist_ok=True)
    return open_adapter(output, digest=adapter.digest).path


def _print_table(found: Sequence[Version]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("version", "commit and digest", "figures", show_lines=True)
    for each in found:
        figures = "\n".join(f"{name} {value:.4g}" for name, value in sorted(each.evaluation.items())) or "none"
        at = f"{each.address.commit}\n{each.digest}" if each.address.commit else each.digest
        about = "\n".join((_name(each), f"tags {', '.join(each.tags)}" if each.tags else "no tag", _date(each)))
        table.add_row(*(Text(text, overflow="fold") for text in (about, at, figures)))
    out.print(table, soft_wrap=False)
    if not found:
        err.print("nothing was published there yet")


def _date(version: Version) -> str:
    return f"published {version.published}" if version.published else f"made {version.created}"


def _name(version: Version) -> str:
    return f"{version.name}@{version.digest.removeprefix('sha256:')[:12]}"
