"""What a provider says while it works: set by whoever drives it (the plugin, the command line), silent otherwise.

A step's name is fixed and belongs to the provider's contract with the conformance suite, which kills the process at
each of them; the sentence is for people and may come many times within one step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["Listener", "progress", "reporting"]

Listener = Callable[[str, str], None]


def _silent(_step: str, _sentence: str) -> None:
    return None


_LISTENER: ContextVar[Listener] = ContextVar("takeover_progress", default=_silent)


def progress(step: str, sentence: str) -> None:
    """Say where the work stands. `step` is a word, `sentence` holds no secret."""
    _LISTENER.get()(step, sentence)


@contextmanager
def reporting(listener: Listener) -> Iterator[None]:
    """Within the block, `listener(step, sentence)` hears what providers say."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)
