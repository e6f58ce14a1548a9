"""What the registry gives back, whatever the adapters are kept in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from takeover.registry.address import Address

__all__ = ["Listing", "Pushed", "Say", "Version", "quiet"]

Say = Callable[[str], None]


def quiet(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Pushed:
    """`address` is pinned (a commit, or a digest in a bucket); `created` is False where the digest was there."""

    address: Address
    digest: str
    url: str
    created: bool
    tag: str | None = None

    @property
    def commit(self) -> str | None:
        return self.address.commit

    def to_json(self) -> dict[str, Any]:
        return {
            "address": str(self.address),
            "commit": self.commit,
            "digest": self.digest,
            "tag": self.tag,
            "url": self.url,
            "created": self.created,
        }


@dataclass(frozen=True)
class Version:
    """One version of an adapter: `address` is pinned, `published` is UTC (None where the place does not say)."""

    address: Address
    name: str
    digest: str
    created: str
    published: str | None = None
    tags: tuple[str, ...] = ()
    evaluation: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "address": str(self.address),
            "commit": self.address.commit,
            "digest": self.digest,
            "name": self.name,
            "tags": list(self.tags),
            "created": self.created,
            "published": self.published,
            "evaluation": dict(self.evaluation),
        }


@dataclass(frozen=True)
class Listing:
    """The files of one version, name -> size in bytes, and how to get one.

    `get(name, part)` appends to the file `part` what it does not hold yet; it may raise and leave what it got.
    """

    sizes: Mapping[str, int]
    get: Callable[[str, Path], None]
