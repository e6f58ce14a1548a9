"""Commands: `takeover adapter show|verify|diff|sign`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from takeover.cli._terminal import err, out, print_json

if TYPE_CHECKING:
    from takeover.adapter import Adapter, AdapterDiff

__all__ = ["adapter_app", "register"]

adapter_app = typer.Typer(
    name="adapter", help="Look at, verify, compare and sign adapter artifacts.", no_args_is_help=True
)

_Folder = Annotated[Path, typer.Argument(metavar="PATH", help="The adapter's folder.", show_default=False)]
_Json = Annotated[bool, typer.Option("--json", help="One JSON document, for a program.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.add_typer(adapter_app)


@adapter_app.command()
def show(path: _Folder, json: _Json = False) -> None:
    """Verify an adapter and print what it is."""
    from takeover.adapter import open_adapter

    adapter = open_adapter(path)
    if json:
        print_json({"servedName": adapter.served_name, "path": str(adapter.path), **adapter.manifest.to_json()})
    else:
        _print_rows(_rows(adapter))


@adapter_app.command()
def verify(
    path: _Folder,
    digest: Annotated[str | None, typer.Option(help="The digest that it must have.", metavar="sha256:...")] = None,
    key: Annotated[Path | None, typer.Option(help="A public key (PEM): the signature must be its owner's.")] = None,
    json: _Json = False,
) -> None:
    """Verify every file of an adapter, and with --key who signed it. Exit code 2 when something is wrong."""
    from takeover.adapter import open_adapter
    from takeover.adapter.signing import is_signed, verify_signature

    adapter = open_adapter(path, digest=digest)
    if key is not None:
        verify_signature(adapter, key)
    signature = "verified" if key is not None else ("not checked" if is_signed(adapter) else "none")
    if json:
        print_json({"servedName": adapter.served_name, "digest": adapter.digest, "signature": signature})
        return
    out.print(f"{adapter.served_name} is whole: {adapter.digest}")
    hints = {"verified": "", "not checked": " (give --key with the signer's public key)", "none": ""}
    err.print(f"signature: {signature}{hints[signature]}")


@adapter_app.command()
def diff(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="AFTER", show_default=False)],
    json: _Json = False,
) -> None:
    """Print what differs between two adapters: the manifests' keys, and how many tensors."""
    from takeover.adapter import diff_adapters, open_adapter

    old, new = open_adapter(before), open_adapter(after)
    found = diff_adapters(old, new)
    if json:
        fields = {key: {"before": was, "after": now} for key, (was, now) in found.fields.items()}
        print_json({"samePayload": found.same_payload, "fields": fields, "tensors": dict(found.tensors)})
    else:
        _print_diff(old, new, found)


@adapter_app.command()
def sign(
    path: _Folder,
    key: Annotated[Path, typer.Option(help="A private EC key (PEM, without a password).", show_default=False)],
) -> None:
    """Sign an adapter in the OpenSSF model-signing format; needs the extra `signing`."""
    from takeover.adapter import open_adapter
    from takeover.adapter.signing import sign as write_signature

    adapter = open_adapter(path)
    out.print(str(write_signature(adapter, key)))
    err.print(f"signed {adapter.served_name}; check it with: takeover adapter verify {path} --key PUBLIC_KEY")


def _rows(adapter: Adapter) -> Mapping[str, str]:
    manifest = adapter.manifest
    return {
        "served as": adapter.served_name,
        "digest": adapter.digest,
        "base": manifest.base,
        "base revision": manifest.base_revision,
        "method": manifest.method,
        "rank, alpha": f"{manifest.rank}, {manifest.alpha}",
        "modules": ", ".join(manifest.target_modules),
        "data": manifest.data_digest,
        "seed": str(manifest.seed),
        "created": manifest.created,
        "licence": manifest.licence,
        "evaluation": ", ".join(f"{name} {value:.4g}" for name, value in sorted(manifest.evaluation.items())) or "none",
        "made with": ", ".join(f"{name} {version}" for name, version in sorted(manifest.versions.items())) or "unknown",
    }


def _print_rows(rows: Mapping[str, str]) -> None:
    width = max(map(len, rows))
    for label, value in rows.items():
        out.print(f"{label:<{width}}  {value}", markup=False)


def _print_diff(old: Adapter, new: Adapter, found: AdapterDiff) -> None:
    if not found.fields:
        out.print("the two adapters are the same")
        return
    out.print(f"{old.served_name} -> {new.served_name}", markup=False)
    for key, (was, now) in found.fields.items():
        out.print(f"  {key}: {_text(was)} -> {_text(now)}", markup=False)
    out.print("  tensors: " + ", ".join(f"{count} {what}" for what, count in found.tensors.items()))


def _text(value: Any) -> str:
    return "absent" if value is None else str(value)
