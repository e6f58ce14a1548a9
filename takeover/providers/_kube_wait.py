"""How long something may take in a cluster, and the clock that it is held against."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

__all__ = ["Wait"]


@dataclass(frozen=True)
class Wait:
    limit_s: float
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
