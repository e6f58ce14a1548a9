"""A stand-in of the tests in a process of its own, so that its work is not counted as the client's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["served"]

_TESTS = Path(__file__).parents[1] / "tests"


@contextmanager
def served(program: str) -> Iterator[str]:
    """The address that `program` (Python, run in tests/) prints first; it ends when its stdin closes."""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=_TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(10)
