"""What is asked of the model and what comes back, as plain values: no torch, so that the web side can start first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Ask", "Finish", "Piece", "Sampling"]

Reason = Literal["stop", "length", "abort", "error"]

# vLLM: a temperature below this counts as greedy (sampling_params.py, 2026-11).
_GREEDY_BELOW = 1e-5


@dataclass(frozen=True)
class Sampling:
    """How one request wants its tokens chosen; the defaults are OpenAI's. `top_k` 0 or -1 is off."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None

    @property
    def greedy(self) -> bool:
        return self.temperature < _GREEDY_BELOW

    @property
    def penalises(self) -> bool:
        return (self.repetition_penalty, self.presence_penalty, self.frequency_penalty) != (1.0, 0.0, 0.0)


@dataclass(frozen=True)
class Ask:
    """What one row is to do. `stream` sends every piece of text, else there is one piece at the end."""

    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    min_tokens: int = 0
    eos_ids: frozenset[int] = frozenset()
    stop_ids: frozenset[int] = frozenset()
    include_stop: bool = False
    stream: bool = False


@dataclass(frozen=True)
class Finish:
    """Why an answer ended; `stop_reason` is the stop string or stop token that the request named, else None."""

    reason: Reason
    stop_reason: str | int | None = None


@dataclass(frozen=True)
class Piece:
    """Text to send, how many tokens the answer has so far, and its end, if this is it."""

    text: str
    tokens: int
    finish: Finish | None = None
