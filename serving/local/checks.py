"""What is checked of an adapter before it is served; no torch."""

from __future__ import annotations

from pathlib import Path

from takeover.adapter import Adapter, open_adapter
from takeover.bases import BaseRef, parse_base
from takeover.bases.materialise import LocalBase
from takeover.errors import Refused
from takeover.tiers import tier

__all__ = ["verified_adapter"]


def verified_adapter(name: str, path: Path, local: LocalBase) -> Adapter:
    """The artifact at `path`, every byte read and checked.

    Refused or Refusals when it is damaged, when `name` is not its served name, when its rank is above what the tier
    serves, or when it was trained on another base or another revision of it.
    """
    adapter = open_adapter(path)
    if name != adapter.served_name:
        raise Refused(
            f"the adapter is called {name!r}, but its content is {adapter.served_name!r}",
            why="A served name carries the digest, so that two versions never share one.",
            fix=f"Load it as {adapter.served_name}.",
            where=str(path),
        )
    largest = tier("local").largest_rank
    if adapter.manifest.rank > largest:
        raise Refused(
            f"{name} has rank {adapter.manifest.rank}, but the local tier serves at most {largest}",
            fix="Train with a lower rank.",
            where=str(path),
        )
    _require_base(adapter, local)
    return adapter


def _require_base(adapter: Adapter, local: LocalBase) -> None:
    manifest, ours = adapter.manifest, local.ref
    if manifest.base_revision != local.revision or not _same_base(parse_base(manifest.base), ours):
        raise Refused(
            f"{adapter.served_name} is an adapter of another base",
            why=f"It was trained on {manifest.base} ({manifest.base_revision}); served is {ours} ({local.revision}).",
            fix=f"Serve it on {manifest.base}, or train it on {ours}.",
            where=str(adapter.path),
        )


def _same_base(theirs: BaseRef, ours: BaseRef) -> bool:
    """For a folder its content is its name: the revision, compared already, says whether it is the same."""
    return theirs == ours or "folder" in (theirs.kind, ours.kind)
