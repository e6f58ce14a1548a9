"""Steady load from a few threads through `takeover.Client`, with every failure kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from takeover.client import Client


class Answer(NamedTuple):
    """Who answered: the tier that the client's outputs named then, and the adapter's served name."""

    provider: str
    model: str


class Load:
    """`with Load(...)`: threads that ask again and again, each with a client of its own; `answers`, `failures`."""

    def __init__(self, connect: Callable[[], Client], threads: int = 4, pause_s: float = 0.0) -> None:
        self.answers: list[Answer] = []
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._connect = connect
        self._pause_s = pause_s
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(threads)]

    @property
    def models(self) -> list[str]:
        return [answer.model for answer in self.answers]

    def _ask(self) -> None:
        client = self._connect()
        while not self._stop.wait(self._pause_s):
            try:
                model = client.chat("Where is my parcel?", max_tokens=8).model
                self.answers.append(Answer(client.outputs.provider, model))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a lost request
                self.failures.append(f"{type(error).__name__}: {error}")

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        self.wait_for(len(self._threads))
        return self

    def wait_for(self, more: int, *, provider: str = "", limit_s: float = 30.0) -> None:
        """Return after so many more answers (of that tier); a failure or the limit ends the wait."""
        goal, end = self._count(provider) + more, time.monotonic() + limit_s
        while self._count(provider) < goal and not self.failures and time.monotonic() < end:
            time.sleep(0.02)

    def _count(self, provider: str) -> int:
        return len([answer for answer in self.answers if provider in ("", answer.provider)])

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
