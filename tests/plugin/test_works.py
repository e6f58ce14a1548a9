"""Calls at work in threads, stopped together."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from plugin.works import Works


async def double(number: int) -> int:
    return 2 * number


def test_a_result_comes_back_from_its_own_loop() -> None:
    assert Works().run(double(4)) == 8


def test_too_long_is_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        Works().run(asyncio.Event().wait(), timeout_s=0.01)


def test_cancel_stops_all_that_run() -> None:
    works, begun = Works(), threading.Barrier(3)

    async def hang() -> None:
        begun.wait(timeout=10)
        await asyncio.Event().wait()

    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(works.run, hang()) for _ in range(2)]
        begun.wait(timeout=10)
        works.cancel()
        for each in running:
            with pytest.raises(asyncio.CancelledError):
                each.result(timeout=10)
    assert works.wait(timeout_s=0)


def test_what_comes_after_cancel_does_not_begin() -> None:
    works, seen = Works(), []

    async def note() -> None:
        seen.append("begun")

    works.cancel()
    with pytest.raises(asyncio.CancelledError):
        works.run(note())
    assert seen == []


def test_a_work_may_tidy_up_when_it_is_stopped() -> None:
    works, begun, seen = Works(), threading.Event(), []

    async def hang() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append("tidied up")

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(works.run, hang())
        begun.wait(timeout=10)
        works.cancel()
        with pytest.raises(asyncio.CancelledError):
            running.result(timeout=10)
    assert seen == ["tidied up"]
