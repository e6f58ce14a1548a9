"""Steady load on a server: threads that ask one model again and again, with every answer's status kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
from fakes.vllm_server import KEY


def ask(url: str, model: str, key: str = KEY) -> int:
    body = {"model": model, "prompt": "hello", "max_tokens": 4}
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.post(f"{url}/v1/completions", json=body, headers=headers, trust_env=False, timeout=60).status_code


@dataclass
class Load:
    """Threads that ask for `model` again and again, as an application does that reads its outputs now and then."""

    url: str
    model: str
    key: str
    statuses: list[int] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.stop.is_set():
            self.statuses.append(ask(self.url, self.model, self.key))

    def wait_for(self, count: int) -> None:
        """Return after so many answers in all."""
        while len(self.statuses) < count:
            time.sleep(0.02)


@contextmanager
def load(url: str, model: str, key: str = KEY) -> Iterator[Load]:
    made = Load(url, model, key)
    threads = [threading.Thread(target=made.run) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        made.stop.set()
        for thread in threads:
            thread.join()
