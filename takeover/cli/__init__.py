"""The command line: `takeover`. Each file here registers its commands; heavy imports stay inside the commands.

Data goes to stdout, everything else to stderr. Exit codes are those of `takeover.errors`; 130 after Ctrl-C.
"""

from __future__ import annotations

import sys
from importlib import import_module

import typer

from takeover.cli._terminal import fail
from takeover.errors import TakeoverError

__all__ = ["app", "main"]

_COMMAND_FILES = (
    "train",
    "adapter",
    "stack",
    "deploy",
    "ask",
    "registry",
    "tiers",
    "running",
    "doctor",
    "fit",
    "render",
)

app = typer.Typer(
    name="takeover",
    help="Train a LoRA adapter, host it on the tier each environment deserves, and move traffic to it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _file in _COMMAND_FILES:
    import_module(f"takeover.cli.{_file}").register(app)


def main() -> None:
    """Run the command line; a TakeoverError becomes one message and its exit code, never a traceback."""
    try:
        app()
    except TakeoverError as error:
        fail(error, as_json="--json" in sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)
