"""Where the command line writes: data to stdout, words to stderr."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

from rich.console import Console

from takeover.errors import TakeoverError

__all__ = ["err", "fail", "out", "print_json"]

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document on stdout, for a program."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def fail(error: TakeoverError, *, as_json: bool = False) -> NoReturn:
    """Print the error for a person (stderr), or for a program (stdout), and exit with its code."""
    if as_json:
        print_json(error.parts() | {"message": str(error)})
    else:
        err.print(f"error: {error}", markup=False)
    sys.exit(error.exit_code)
