"""One answer being written: what was asked, what came so far, and when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from serving.local.asks import Ask, Finish, Piece
from serving.local.lora import AdapterWeights
from serving.local.sampling import generator_for
from serving.local.text import TextStream

__all__ = ["Row"]


@dataclass
class Times:
    """Moments of a row's life, by `time.monotonic`."""

    queued: float = field(default_factory=time.monotonic)
    started: float | None = None
    first_token: float | None = None
    last_token: float | None = None

    def mark_token(self, now: float) -> None:
        self.first_token = self.first_token or now
        self.last_token = now

    def computing_s(self) -> float:
        """From the beginning of its prompt to its last token; 0 for a row that had none."""
        return self.last_token - self.started if self.last_token and self.started else 0.0


class Row:
    """A row of the batch, in the hands of the scheduler's thread. `sink` takes its pieces, in the event loop."""

    sink: Callable[[Piece], None]

    def __init__(self, ask: Ask, weights: AdapterWeights | None, text: TextStream) -> None:
        self.ask = ask
        self.weights = weights
        self.times = Times()
        self.generated: list[int] = []
        self.finish: Finish | None = None
        self.cancelled = False
        self._text = text
        self._unsent = ""
        self._generator: torch.Generator | None = None

    @property
    def prompt(self) -> Sequence[int]:
        return self.ask.prompt

    @property
    def last_token(self) -> int:
        return self.generated[-1]

    @property
    def generator(self) -> torch.Generator:
        if self._generator is None:
            self._generator = generator_for(self.ask.sampling)
        return self._generator

    @property
    def banned(self) -> frozenset[int]:
        """Tokens that may not come yet: those that would end the answer before `min_tokens`."""
        early = len(self.generated) < self.ask.min_tokens
        return self.ask.eos_ids | self.ask.stop_ids if early else frozenset()

    def accept(self, token: int) -> Piece | None:
        """Add a token; the piece to deliver, if there is one now."""
        self.generated.append(token)
        ending = self._ending_token(token)
        if ending is None or (self.ask.include_stop and token in self.ask.stop_ids):
            self._unsent += self._text.add(token, may_stop=len(self.generated) > self.ask.min_tokens)
        if self._text.stopped_by is not None:
            ending = Finish("stop", self._text.stopped_by)
        elif ending is None and len(self.generated) >= self.ask.max_tokens:
            ending = Finish("length")
        return self.end(ending) if ending else self._piece()

    def end(self, finish: Finish) -> Piece:
        """Close the answer with what is still unsent."""
        self.finish = finish
        self._unsent += self._text.finish()
        return Piece(self._unsent, len(self.generated), finish)

    def _piece(self) -> Piece | None:
        if not (self.ask.stream and self._unsent):
            return None
        text, self._unsent = self._unsent, ""
        return Piece(text, len(self.generated))

    def _ending_token(self, token: int) -> Finish | None:
        if token in self.ask.stop_ids:
            return Finish("stop", token)
        return Finish("stop") if token in self.ask.eos_ids else None
