"""Ctrl-C and SIGTERM, noted instead of obeyed while a step is running."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["interrupts_noted"]


@contextmanager
def interrupts_noted(event: threading.Event) -> Iterator[None]:
    """Inside, the first Ctrl-C or SIGTERM only sets the event; a second one acts at once.

    Outside of the main thread signals cannot be caught, and nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def note(number: int, frame: object) -> None:
        event.set()
        signal.signal(number, before[signal.Signals(number)])

    for each in signals:
        signal.signal(each, note)
    try:
        yield
    finally:
        for each in signals:
            signal.signal(each, before[each])
