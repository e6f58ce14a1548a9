"""Waiting for what SageMaker does in its own time, with words for whoever watches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from takeover.errors import NotReady
from takeover.providers._progress import progress
from takeover.providers._sagemaker_api import Missing, Unsettled

__all__ = ["Waiting"]

T = TypeVar("T")
_FIRST_S, _LONGEST_S, _GROWTH = 0.05, 15.0, 1.5
_SETTLING_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)


class Waiting:
    """Asks again, soon at first, then every 15 s; gives up after `limit_s`, when what was begun goes on without us."""

    def __init__(self, limit_s: float, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._limit_s = limit_s
        self._sleep = sleep

    async def eventually(self, step: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """The same call again for half a minute, while what it names is not known everywhere: IAM's roles, and models
        and configurations that were made a moment ago (CreateEndpoint's reference speaks of DynamoDB)."""
        for pause in _SETTLING_S:
            try:
                return await attempt()
            except (Missing, Unsettled) as error:
                progress(step, f"{error.happened}; trying again")
                await self._sleep(pause)
        return await attempt()

    async def until(
        self, step: str, what: str, look: Callable[[], Awaitable[T]], settled: Callable[[T], str | None]
    ) -> T:
        """The first thing seen that is settled; `settled` gives None then, else the state to tell people."""
        began, pause = time.monotonic(), _FIRST_S
        while True:
            seen = await look()
            state = settled(seen)
            if state is None:
                return seen
            spent = time.monotonic() - began
            if spent > self._limit_s:
                raise NotReady(
                    f"{what} is {state} after {spent:.0f} s",
                    why="SageMaker goes on with it.",
                    fix="Deploy again to wait for the rest; its logs are in CloudWatch.",
                )
            progress(step, f"{what} is {state} ({spent:.0f} s)")
            await self._sleep(pause)
            pause = min(_LONGEST_S, pause * _GROWTH)
