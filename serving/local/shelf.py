"""The adapters that are served, by name. Belongs to the event loop; weights are held by the rows that use them, so
taking an adapter off the shelf never touches a running answer."""

from __future__ import annotations

from dataclasses import dataclass

from serving.local.lora import AdapterWeights
from takeover.adapter import Adapter

__all__ = ["Entry", "Shelf"]


@dataclass
class Entry:
    """A served adapter. `retire_after_s` is None while it is wanted, else the idle seconds after which it goes."""

    adapter: Adapter
    weights: AdapterWeights
    created: int
    users: int = 0
    last_used: float = 0.0
    retire_after_s: float | None = None

    @property
    def state(self) -> str:
        return "ready" if self.retire_after_s is None else "retiring"

    def expires_at(self) -> float | None:
        """When a retiring adapter that nobody uses goes; None while it is wanted or in use."""
        return None if self.retire_after_s is None or self.users else self.last_used + self.retire_after_s


class Shelf:
    """Times are seconds of one monotonic clock, given by the caller."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def entries(self) -> tuple[Entry, ...]:
        return tuple(self._entries.values())

    def find(self, name: str) -> Entry | None:
        return self._entries.get(name)

    def put(self, entry: Entry) -> None:
        self._entries[entry.weights.name] = entry

    def begin(self, entry: Entry) -> None:
        """A request starts to use it."""
        entry.users += 1

    def end(self, entry: Entry, now: float) -> None:
        """That request is over."""
        entry.users -= 1
        entry.last_used = now

    def retire(self, entry: Entry, seconds: float, now: float) -> None:
        """Keep answering under its name until it has been idle for `seconds`; 0 takes the name away at once."""
        if seconds <= 0:
            del self._entries[entry.weights.name]
            return
        entry.retire_after_s, entry.last_used = seconds, now

    def revive(self, entry: Entry) -> None:
        entry.retire_after_s = None

    def sweep(self, now: float) -> None:
        """Remove what has expired. Called before the shelf is looked at, so that no timer is needed."""
        for name, entry in list(self._entries.items()):
            due = entry.expires_at()
            if due is not None and due <= now:
                del self._entries[name]
