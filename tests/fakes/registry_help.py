"""What the registry's tests share: a clock that only notes, and looks into the fake Hub."""

from __future__ import annotations

import time
from typing import Any

from fakes.hub import FakeHub

from takeover.registry import Address, parse_address

TONE = parse_address("hf://acme/tone")


class Clock:
    """`time`, but sleeping is only noted."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def commits_of(hub: FakeHub, name: str = "acme/tone") -> list[str]:
    """The titles of the commits on main, the oldest first."""
    return [each.title for each in hub.repos[name].commits]


def at_head(hub: FakeHub) -> Address:
    return TONE.at(hub.repos["acme/tone"].head.oid)
