"""The adapters that are served, by name. Belongs to the event loop; weights are held by the rows that use them, so
taking an adapter off the shelf never touches a running answer."""

from __future__ import annotations

from dataclasses import dataclass

from serving.local.lora import AdapterWeights
from takeover.adapter import Adapter

__all__ = ["Entry", "Shelf"]


@dataclass
class Entry:
    """A served adapter. `gone_at` is None while it is wanted, else when its name is taken away."""

    adapter: Adapter
    weights: AdapterWeights
    created: int
    gone_at: float | None = None

    @property
    def state(self) -> str:
        return "ready" if self.gone_at is None else "retiring"


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

    def retire(self, entry: Entry, seconds: float, now: float) -> None:
        """Answer under its name for `seconds` more; 0 takes the name away at once.

        However busy it is: were its end put off by every use, clients that never look would keep it for ever.
        """
        entry.gone_at = now + seconds
        self.sweep(now)

    def revive(self, entry: Entry) -> None:
        entry.gone_at = None

    def sweep(self, now: float) -> None:
        """Remove what has expired. Called before the shelf is looked at, so that no timer is needed."""
        for name, entry in list(self._entries.items()):
            if entry.gone_at is not None and entry.gone_at <= now:
                del self._entries[name]
