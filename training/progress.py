"""What a run says while it goes: a line for people (rich), and nothing for those who do not listen."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["Listener", "Silent", "TerminalProgress"]

_LINE_S = 10.0
_REDRAW_S = 0.5


class Listener(Protocol):
    """Hears of a run. All calls return at once."""

    def say(self, text: str) -> None:
        """Something that takes long begins, or something a person should know."""
        ...

    def started(self, step: int, steps: int) -> None:
        """Training begins after `step` of `steps` optimizer steps (0, or a checkpoint's)."""
        ...

    def stepped(self, step: int, metrics: Mapping[str, float]) -> None:
        """Step `step` is done; `metrics` under TRL's names."""
        ...

    def ended(self) -> None:
        """The training loop is over, whether or not it came to its end."""
        ...


class Silent:
    def say(self, text: str) -> None: ...

    def started(self, step: int, steps: int) -> None: ...

    def stepped(self, step: int, metrics: Mapping[str, float]) -> None: ...

    def ended(self) -> None: ...


class TerminalProgress:
    """On a terminal a bar with steps, loss, margin and time left; elsewhere a line every ten seconds."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._bar: Progress | None = None
        self._first = self._steps = 0
        self._began = self._last_line = 0.0

    def say(self, text: str) -> None:
        self._console.print(text, markup=False)

    def started(self, step: int, steps: int) -> None:
        self._first, self._steps = step, steps
        self._began = self._last_line = self._clock()
        if self._console.is_terminal:
            columns = (BarColumn(24), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            # No thread that draws: it would take time from the steps. A step draws, twice a second at most.
            self._bar = Progress(*columns, console=self._console, auto_refresh=False)
            self._bar.add_task("training", total=steps, completed=step)
            self._bar.start()

    def stepped(self, step: int, metrics: Mapping[str, float]) -> None:
        now = self._clock()
        every = _REDRAW_S if self._bar is not None else _LINE_S
        if step != self._steps and now - self._last_line < every:
            return
        self._last_line = now
        text = f"{describe(metrics)}  {self._time_left(step, now)}"
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=step, description=text, refresh=True)
        else:
            self._console.print(f"step {step}/{self._steps}  {text}", markup=False)

    def ended(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _time_left(self, step: int, now: float) -> str:
        each = (now - self._began) / max(step - self._first, 1)
        left = round(each * (self._steps - step))
        return f"{left // 60}:{left % 60:02d} left"


def describe(metrics: Mapping[str, float]) -> str:
    """The figures of a step that a person watches."""
    names = {"loss": "loss", "rewards/margins": "margin", "rewards/accuracies": "accuracy"}
    return "  ".join(f"{short} {metrics[name]:.3f}" for name, short in names.items() if name in metrics)
