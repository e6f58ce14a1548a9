"""Steady load from a few threads through `takeover.Client`, with every failure kept."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from takeover.client import Client


class Load:
    """`with Load(...)`: threads that ask again and again, each with a client of its own; `answers`, `failures`."""

    def __init__(self, outputs: Path, threads: int = 4) -> None:
        self.models: list[str] = []
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._outputs = outputs
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(threads)]

    def _ask(self) -> None:
        client = Client.from_file(self._outputs)
        while not self._stop.is_set():
            try:
                self.models.append(client.chat("Where is my parcel?", max_tokens=8).model)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a lost request
                self.failures.append(f"{type(error).__name__}: {error}")

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        self.wait_for(len(self._threads))
        return self

    def wait_for(self, more: int, limit_s: float = 30.0) -> None:
        """Return after so many more answers; a failure or the limit ends the wait."""
        goal, end = len(self.models) + more, time.monotonic() + limit_s
        while len(self.models) < goal and not self.failures and time.monotonic() < end:
            time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
