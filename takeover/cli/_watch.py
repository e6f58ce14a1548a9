"""Shows an operation of the engine while it runs: lines on stderr, and on a terminal what is waited for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner

from takeover.cli._terminal import err
from takeover.engine.events import Failed, Finished, Line, Said, Started, Step, Summary

__all__ = ["Watch", "describe"]

_MARKS = {"create": "+", "update": "~", "delete": "-", "import": "=", "refresh": " "}
_DOING = {"create": "creating", "update": "updating", "delete": "deleting", "import": "importing", "refresh": "reading"}
_DONE = {"create": "created", "update": "updated", "delete": "deleted", "import": "imported"}
_COLOURS = {"create": "green", "update": "yellow", "delete": "red", "import": "green"}
_HEARTBEAT_S = 10.0


def describe(step: Step, words: dict[str, str]) -> str:
    """`+ created takeover:index:Endpoint name (models)`; the parts of a replacement say that they are."""
    kind = _kind(step.op)
    part = " (replacement)" if "replace" in step.op and kind == "create" else ""
    old = " (replaced)" if "replaced" in step.op else ""
    return f"  {_MARKS.get(kind, '*')} {words.get(kind, kind if kind in _MARKS else step.op)} {step}{part}{old}"


def _kind(op: str) -> str:
    """`create-replacement` is a create, `delete-replaced` and `discard` are deletes."""
    if op.startswith("discard"):
        return "delete"
    return op.partition("-")[0]


class Watch:
    """Prints lines as they come; `say` and `line` are what `StackDriver` takes."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[Step, float]] = {}
        self._waiting = ""
        self._shown_at = 0.0

    @contextmanager
    def open(self) -> Iterator[Watch]:
        """On a terminal, with a last line that moves; elsewhere with lines alone."""
        if not err.is_terminal:
            yield self
            return
        spinner = Spinner("dots", text=self)
        with Live(spinner, console=err, refresh_per_second=8, transient=True):
            yield self

    def __rich__(self) -> str:
        """The last line of a terminal."""
        now = list(self._running.values())
        running = [f"{_DOING.get(_kind(step.op), step.op)} {step.name} {_since(began)}" for step, began in now]
        return escape(" | ".join(running[:3]) + (f": {self._waiting}" if self._waiting else "") or "working")

    def say(self, text: str) -> None:
        """A sentence of the driver's own."""
        err.print(text, markup=False, style="dim")

    def line(self, line: Line) -> None:
        """One line of the engine's."""
        if isinstance(line, Started):
            self._started(line)
        elif isinstance(line, Finished):
            self._ended(line.step, "")
        elif isinstance(line, Failed):
            self._ended(line.step, "failed: ")
        elif isinstance(line, Said):
            self._said(line)
        elif isinstance(line, Summary):
            self._waiting = ""

    def _started(self, line: Started) -> None:
        if line.planning:
            err.print(describe(line.step, {}), markup=False, style=_COLOURS.get(_kind(line.step.op)))
            return
        if not line.step.custom:
            return
        self._running[line.step.urn] = (line.step, time.monotonic())
        if not err.is_terminal:
            err.print(describe(line.step, _DOING), markup=False)

    def _ended(self, step: Step, how: str) -> None:
        begun = self._running.pop(step.urn, None)
        self._waiting = ""
        kind = _kind(step.op)
        if how:
            err.print(f"  ! {how}{_DOING.get(kind, step.op)} {step}", markup=False, style="red")
        elif kind in _DONE and begun:
            err.print(f"{describe(step, _DONE)} in {_since(begun[1])}", markup=False, style=_COLOURS[kind])

    def _said(self, said: Said) -> None:
        # Errors come once more, as the operation's own error, in words that say what to do.
        if said.severity == "error":
            return
        named = f"{said.resource}: " if said.resource else ""
        if said.passing:
            self._waiting = said.text
            if err.is_terminal or time.monotonic() - self._shown_at < _HEARTBEAT_S:
                return
            self._shown_at = time.monotonic()
        if said.severity == "warning":
            err.print(f"  warning: {named}{said.text}", markup=False, style="yellow")
        else:
            err.print(f"  {named}{said.text}", markup=False)


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.1f} s"
