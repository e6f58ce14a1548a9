"""Where adapters are kept: `hf://org/name@<commit>`, `s3://`, `gs://`, a folder. Verified before they leave and after.

`resolve` turns a branch or tag into the commit it stands for now; `pull` takes pinned addresses only. The clients
(huggingface_hub, fsspec) are imported when they are used.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from takeover.adapter import Adapter, open_adapter
from takeover.errors import Refused
from takeover.providers._base import TrainedModel
from takeover.registry._types import Pushed, Say, Version, quiet
from takeover.registry.address import SCHEMES, Address, is_address, parse_address

__all__ = [
    "SCHEMES",
    "Address",
    "Pushed",
    "Version",
    "is_address",
    "open_source",
    "parse_address",
    "pull",
    "push",
    "resolve",
    "trained",
    "versions",
]


def resolve(address: Address) -> Address:
    """The address with its version pinned: a branch or tag becomes its commit, the only version its digest.

    Refused when there is no such thing; AuthError, RateLimited, VendorError as `takeover.errors` has them.
    """
    if address.kind == "hf":
        from takeover.registry import hub

        return hub.resolve(address)
    from takeover.registry import buckets

    return buckets.resolve(address)


def pull(address: Address, *, digest: str | None = None, say: Say = quiet) -> Adapter:
    """The adapter at a pinned address, verified, from the cache or fetched into it (`takeover.registry.cache`).

    With `digest` (`sha256:<64 hex>`) it must be exactly that one. What is in the cache needs no network. Refused for an
    address that can move, and for whatever is not the adapter that was asked for; a pull that was cut off goes on.
    """
    from takeover.registry.cache import kept

    if not address.is_pinned and address.kind != "hf" and digest is not None:
        address = address.at(digest)
    if not address.is_pinned:
        raise Refused(
            f"{address} can move",
            why="What is deployed must not change by itself: a branch or tag is resolved once, and the commit noted.",
            fix=f"`takeover adapter use {address}` writes down the commit and the digest it stands for now.",
        )
    if address.digest is not None and digest not in (None, address.digest):
        raise Refused(f"{address} was asked for, and {digest} beside it", fix="Name one digest.")
    if address.kind == "hf":
        from takeover.registry import hub

        return kept(address, digest, lambda: hub.listing(address), say)
    from takeover.registry import buckets

    return kept(address, address.digest, lambda: buckets.listing(address), say)


def push(
    folder: Path | str, address: Address, *, private: bool = False, tag: str | None = None, say: Say = quiet
) -> Pushed:
    """Publish the adapter in `folder`, which is verified first, and read back what arrived.

    The same digest again makes nothing new (`created` is False). `private` and `tag` are the Hub's.
    """
    adapter = open_adapter(folder)
    if address.version is not None:
        raise Refused(f"{address} names a version", fix=f"Push to {address.root}: the version is made by pushing.")
    if address.kind == "hf":
        from takeover.registry._hub_push import push_to_hub

        return push_to_hub(adapter, address, private=private, tag=tag, say=say)
    for option, given in (("--private", private), ("--tag", tag is not None)):
        if given:
            why = "Who may read there is the place's own setting, and versions are named by their digest."
            raise Refused(f"{option} is for the Hub", why=why, fix=f"Push without {option}.", where=str(address))
    from takeover.registry.buckets import push_to_bucket

    return push_to_bucket(adapter, address, say)


def versions(address: Address, *, say: Say = quiet) -> list[Version]:
    """What was published at an address (its own version does not count), the newest first."""
    if address.kind == "hf":
        from takeover.registry import hub

        return hub.versions(address, say)
    from takeover.registry import buckets

    return buckets.versions(address, say)


def open_source(source: str, *, digest: str | None, root: Path, say: Say = quiet) -> Adapter:
    """The adapter that a stack names: a folder (relative to `root`) is opened, an address is pulled."""
    if not is_address(source):
        return open_adapter(root / Path(source).expanduser(), digest=digest)
    address = parse_address(source)
    if address.kind == "file":
        address = replace(address, path=str(root / Path(address.path).expanduser()))
    return pull(address, digest=digest, say=say)


def trained(source: str, adapter: Adapter) -> TrainedModel:
    """The adapter of a stack's source as providers deploy it: with its address where others can fetch it from there."""
    is_public = is_address(source) and parse_address(source).kind != "file"
    return adapter.trained_model().model_copy(update={"source": source if is_public else ""})
