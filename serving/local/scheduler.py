"""Continuous batching: rows join and leave the running batch between two tokens, in one thread that owns the model."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from serving.local.asks import Finish, Piece
from serving.local.decode import PREFILL_TOKENS, Batch, Forward, Prefill
from serving.local.rows import Row
from serving.local.sampling import choose

__all__ = ["Draining", "Observer", "QueueFull", "Scheduler"]

log = logging.getLogger("takeover.serving")

_LONGEST_RETRY_AFTER_S = 60
_FIRST_GUESS_S = 2.0  # how long an answer takes to compute, before one has been seen
_NEWEST_WEIGHS = 0.2


T = TypeVar("T")


def _settle(outcome: Future[T], job: Callable[[], T]) -> None:
    try:
        outcome.set_result(job())
    except Exception as error:
        log.exception("a job between two steps failed")
        outcome.set_exception(error)


class QueueFull(Exception):
    """No room for another request; try again in `retry_after_s` seconds."""

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"the queue is full, try again in {retry_after_s} s")


class Draining(Exception):
    """The server is being stopped and takes no more requests."""


class Observer(Protocol):
    """What metrics hear of; called in the scheduler's thread."""

    def prefilled(self, rows: Sequence[Row]) -> None: ...
    def token(self, row: Row, now: float) -> None: ...
    def finished(self, row: Row, finish: Finish, now: float) -> None: ...


class Scheduler:
    """Thread-safe: `submit`, `cancel`, `between_steps`, `drain`, `stop` and the counts may be called from anywhere.

    `deliver` gets, once a step and in the scheduler's thread, what all rows have to send.
    """

    def __init__(
        self,
        forward: Forward,
        *,
        pad: int,
        max_batch: int,
        max_queue: int,
        deliver: Callable[[list[tuple[Row, Piece]]], None],
        observer: Observer,
    ) -> None:
        self._pad, self._max_batch, self._max_rows = pad, max_batch, max_batch + max_queue
        self._forward, self._deliver, self._observer = forward, deliver, observer
        self._batch: Batch[Row] = Batch(forward)
        self._prefill: Prefill[Row] | None = None
        self._waiting: deque[Row] = deque()
        self._jobs: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._draining = self._stopping = False
        self._mean_s = _FIRST_GUESS_S
        self._outbox: list[tuple[Row, Piece]] = []
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)
        self._thread.start()

    @property
    def running(self) -> int:
        """Rows whose prompt or answer is being computed."""
        prefill = self._prefill
        return len(self._batch.rows) + (len(prefill.rows) if prefill else 0)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def is_draining(self) -> bool:
        return self._draining

    @property
    def cached_tokens(self) -> int:
        return self._batch.cached_tokens

    def submit(self, rows: Sequence[Row]) -> None:
        """Queue the rows of one request, all or none. Raises QueueFull or Draining."""
        with self._changed:
            if self._draining:
                raise Draining
            if self.waiting + self.running + len(rows) > self._max_rows:
                raise QueueFull(self._retry_after_s())
            self._waiting.extend(rows)
            self._changed.notify_all()

    def cancel(self, rows: Iterable[Row]) -> None:
        """Let go of rows: a waiting one at once, a running one before its next token. What has ended is left alone."""
        with self._changed:
            for row in rows:
                row.cancelled = True
            self._changed.notify_all()

    def between_steps(self, job: Callable[[], T]) -> T:
        """Run `job` in the scheduler's thread before the next token; what it returns or raises comes back here."""
        outcome: Future[T] = Future()
        with self._changed:
            if self._stopping:
                raise Draining
            self._jobs.append(lambda: _settle(outcome, job))
            self._changed.notify_all()
        return outcome.result()

    def drain(self, seconds: float) -> bool:
        """Take no more requests, wait for those there are, at most so long; then cancel the rest. True if none was."""
        with self._changed:
            self._draining = True
            idle = self._changed.wait_for(lambda: not self._busy(), timeout=seconds)
            for row in [*self._waiting, *self._computing()]:
                row.cancelled = True
            self._changed.notify_all()
        return idle

    def stop(self) -> None:
        """End the thread after the current step; what still runs is cancelled."""
        self.drain(0)
        with self._changed:
            self._changed.wait_for(lambda: not self._busy(), timeout=5)
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout=5)

    def _computing(self) -> list[Row]:
        prefill = self._prefill
        return [*(prefill.rows if prefill else ()), *self._batch.rows]

    def _busy(self) -> bool:
        return bool(self._waiting or self._prefill or self._batch.rows)

    def _retry_after_s(self) -> int:
        rounds = (self.waiting + self.running) / self._max_batch
        return max(1, min(_LONGEST_RETRY_AFTER_S, math.ceil(rounds * self._mean_s)))

    def _run(self) -> None:
        with torch.inference_mode():
            while self._next():
                try:
                    self._turn()
                except Exception:
                    log.exception("a step failed; the requests in it end with an error")
                    self._end(self._computing(), Finish("error"))
                self._send()

    def _next(self) -> bool:
        """Sleep until there is something to do, run the jobs; False when the thread shall end."""
        with self._changed:
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._busy() or self._jobs or self._stopping)
            jobs, self._jobs = list(self._jobs), deque()
        for job in jobs:
            job()
        return not self._stopping

    def _turn(self) -> None:
        """One token for every running row, and one piece of the prompts that wait to join."""
        self._end([row for row in [*self._waiting, *self._computing()] if row.cancelled], Finish("abort"))
        if self._prefill is None:
            self._admit()
        if self._prefill is not None and (logits := self._prefill.advance()) is not None:
            prefill = self._prefill
            self._observer.prefilled(prefill.rows)
            self._choose(prefill.rows, logits)
            with self._changed:
                self._batch.join(prefill, lambda row: row.finish is None)
                self._prefill = None
        if self._batch.rows:
            self._choose(list(self._batch.rows), self._batch.step())

    def _admit(self) -> None:
        """Begin with the next waiting rows whose prompts fit together into one pass, one at least, if there is room."""
        chosen: list[Row] = []
        with self._changed:
            longest = 0
            while self._waiting and len(self._batch.rows) + len(chosen) < self._max_batch:
                longest = max(longest, len(self._waiting[0].prompt))
                if chosen and longest * (len(chosen) + 1) > PREFILL_TOKENS:
                    break
                chosen.append(self._waiting.popleft())
            now = time.monotonic()
            for row in chosen:
                row.times.started = now
            self._prefill = Prefill(chosen, self._forward, self._pad) if chosen else None

    def _choose(self, rows: Sequence[Row], logits: Tensor) -> None:
        """The next token of each row; those that end leave the batch."""
        greedy = logits.argmax(-1).tolist()
        now = time.monotonic()
        ended = []
        for index, row in enumerate(rows):
            if row.finish is not None:
                continue
            piece = self._advance(row, logits[index], greedy[index], now)
            if piece is None:
                continue
            self._outbox.append((row, piece))
            if piece.finish is not None:
                ended.append(row)
                self._observer.finished(row, piece.finish, now)
        self._remove(ended)

    def _advance(self, row: Row, logits: Tensor, likeliest: int, now: float) -> Piece | None:
        """One token for one row; what goes wrong in it ends this row and no other."""
        sampling, banned = row.ask.sampling, row.banned
        try:
            if not (sampling.greedy and not sampling.penalises and likeliest not in banned):
                likeliest = choose(
                    logits,
                    sampling,
                    row.generator,
                    prompt=row.prompt,
                    generated=row.generated,
                    banned=sorted(banned),
                )
            self._observer.token(row, now)
            row.times.mark_token(now)
            return row.accept(likeliest)
        except Exception:
            log.exception("a request failed while its token was chosen")
            return row.end(Finish("error"))

    def _end(self, rows: Sequence[Row], finish: Finish) -> None:
        """End rows from outside: the client is gone, the server stops, or a step failed."""
        now = time.monotonic()
        for row in rows:
            if row.finish is None:
                self._outbox.append((row, row.end(finish)))
                self._observer.finished(row, finish, now)
        self._remove(rows)

    def _remove(self, rows: Sequence[Row]) -> None:
        gone = set(rows)
        if not gone:
            return
        with self._changed:
            self._waiting = deque(row for row in self._waiting if row not in gone)
            self._batch.leave([row for row in self._batch.rows if row in gone])
            if self._prefill is not None and all(row.finish is not None for row in self._prefill.rows):
                self._prefill = None
            for row in gone:
                if row.finish is not None and row.finish.reason in ("stop", "length"):
                    self._mean_s += _NEWEST_WEIGHS * (row.times.computing_s() - self._mean_s)

    def _send(self) -> None:
        if self._outbox:
            self._deliver(self._outbox)
            self._outbox = []
