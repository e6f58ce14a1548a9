"""What a start from zero took, as the container itself can tell.

Two figures are its own: `startMs` from its process's start until the engine was ready, and, with a memory snapshot,
`wakeMs` from the end of the restore until it was ready again. What the vendor does before its first line runs (finding
a machine, restoring memory) it cannot see; but whoever asked first and waited can say when that was, and then
`measuredMs` is the whole wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["ColdStart"]

# A wait beyond this is a clock that is wrong, not a start.
_LONGEST_MS = 3_600_000


@dataclass
class ColdStart:
    """Filled while a container starts; milliseconds, None where not measured (yet)."""

    start_ms: int | None = None
    wake_ms: int | None = None
    waited_ms: int | None = None
    ready_at_ms: int | None = None
    now: Callable[[], float] = time.time

    def started(self, process_began_s: float) -> None:
        """The engine is ready for the first time; `process_began_s` is seconds since 1970."""
        self.start_ms = self._since(process_began_s)
        self.ready_at_ms = self._now_ms()

    def woke(self, began_s: float) -> None:
        """The engine is ready after a restore, whose end was at `began_s`."""
        self.wake_ms = self._since(began_s)
        self.waited_ms = None
        self.ready_at_ms = self._now_ms()

    def first_asked(self, asked_at: str | None) -> None:
        """Milliseconds since 1970, by a caller's clock; the first one before this container was ready counts."""
        if self.waited_ms is not None or self.ready_at_ms is None or asked_at is None or not asked_at.isdecimal():
            return
        waited = self.ready_at_ms - int(asked_at)
        if (self.own_ms or 0) <= waited <= _LONGEST_MS:
            self.waited_ms = waited

    @property
    def own_ms(self) -> int | None:
        return self.start_ms if self.wake_ms is None else self.wake_ms

    @property
    def measured_ms(self) -> int | None:
        return self.own_ms if self.waited_ms is None else self.waited_ms

    def to_json(self) -> dict[str, Any]:
        return {"measuredMs": self.measured_ms, "startMs": self.start_ms, "wakeMs": self.wake_ms}

    def _since(self, began_s: float) -> int:
        return max(0, round((self.now() - began_s) * 1000))

    def _now_ms(self) -> int:
        return round(self.now() * 1000)
