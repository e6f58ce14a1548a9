"""A model for tests of the scheduler: it counts, each token one more than the one before, and waits for leave."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from serving.local.asks import Ask, Finish, Piece, Sampling
from serving.local.rows import Row
from serving.local.scheduler import Scheduler

VOCABULARY = 1000


class CountingCache:
    length = 0

    def take(self, other: CountingCache, indices: Sequence[int]) -> None:
        return

    def drop(self, indices: Sequence[int], longest: int) -> None:
        return


class CountingForward:
    """`calls` are the shapes of the ids it was given. `limited` makes every call wait for `allow`."""

    def __init__(self, *, limited: bool = False) -> None:
        self.calls: list[tuple[int, int]] = []
        self.fails_on: Callable[[Tensor], bool] = lambda _ids: False
        self._allowed = threading.Semaphore(0) if limited else None

    def allow(self, calls: int) -> None:
        assert self._allowed is not None
        self._allowed.release(calls)

    def new_cache(self) -> CountingCache:
        return CountingCache()

    def __call__(self, ids: Tensor, cache: CountingCache, lengths: Sequence[int], adapters: Sequence[Any]) -> Tensor:
        if self._allowed is not None:
            self._allowed.acquire(timeout=30)
        self.calls.append((ids.shape[0], ids.shape[1]))
        if self.fails_on(ids):
            raise RuntimeError("the model broke")
        return torch.nn.functional.one_hot(ids[:, -1] + 1, VOCABULARY).float()


class Letters:
    """Stands for a TextStream: every token is its number and a space."""

    stopped_by: str | None = None

    def __init__(self, *, fails_at: int | None = None) -> None:
        self._fails_at = fails_at

    def add(self, token: int, *, may_stop: bool = True) -> str:
        if token == self._fails_at:
            raise ValueError("no such letter")
        return f"{token} "

    def finish(self) -> str:
        return ""


class Ears:
    """An observer that notes what it hears."""

    def __init__(self) -> None:
        self.prompts: list[int] = []
        self.tokens = 0
        self.reasons: list[str] = []

    def prefilled(self, rows: Sequence[Row]) -> None:
        self.prompts.extend(len(row.prompt) for row in rows)

    def token(self, row: Row, now: float) -> None:
        self.tokens += 1

    def finished(self, row: Row, finish: Finish, now: float) -> None:
        self.reasons.append(finish.reason)


class Bench:
    """A scheduler over the counting model, and the pieces that come out of it in their order."""

    def __init__(self, *, limited: bool = False, max_batch: int = 4, max_queue: int = 8) -> None:
        self.forward = CountingForward(limited=limited)
        self.ears = Ears()
        self.pieces: queue.Queue[tuple[Row, Piece]] = queue.Queue()
        self.scheduler = Scheduler(
            self.forward,
            pad=0,
            max_batch=max_batch,
            max_queue=max_queue,
            deliver=lambda pieces: [self.pieces.put(each) for each in pieces],
            observer=self.ears,
        )

    def row(self, start: int, *, tokens: int = 3, length: int = 1, text: Letters | None = None, **ask: Any) -> Row:
        """A row that will write start + 1, start + 2, ..."""
        prompt = (0,) * (length - 1) + (start,)
        greedy = Sampling(temperature=0)
        return Row(Ask(prompt=prompt, max_tokens=tokens, sampling=greedy, **ask), None, text or Letters())

    def next(self) -> tuple[Row, Piece]:
        return self.pieces.get(timeout=30)

    def ends(self, count: int) -> dict[Row, Piece]:
        """The last pieces of so many rows, as they end."""
        found: dict[Row, Piece] = {}
        while len(found) < count:
            row, piece = self.next()
            if piece.finish is not None:
                found[row] = piece
        return found
