"""The calls that are at work: each in an event loop of its gRPC thread, all of them stopped at once by Cancel."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["Works"]

T = TypeVar("T")


class Works:
    """Runs coroutines from threads; `cancel` interrupts those that run and refuses those that come later."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: dict[asyncio.Task[Any], asyncio.AbstractEventLoop] = {}
        self._is_cancelled = False

    def run(self, work: Coroutine[Any, Any, T], *, timeout_s: float = 0) -> T:
        """The result. TimeoutError after `timeout_s` (0 is no limit), asyncio.CancelledError after `cancel`."""
        return asyncio.run(self._guarded(work, timeout_s))

    async def _guarded(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        task = asyncio.ensure_future(work)
        with self._lock:
            self._tasks[task] = asyncio.get_running_loop()
            if self._is_cancelled:
                task.cancel()
        try:
            async with asyncio.timeout(timeout_s or None):
                return await task
        finally:
            with self._lock:
                del self._tasks[task]

    def cancel(self) -> None:
        with self._lock:
            self._is_cancelled = True
            for task, loop in self._tasks.items():
                loop.call_soon_threadsafe(task.cancel)

    def wait(self, timeout_s: float) -> bool:
        """Whether all have ended within that time."""
        give_up_at = time.monotonic() + timeout_s
        while self._tasks and time.monotonic() < give_up_at:
            time.sleep(0.02)
        return not self._tasks
