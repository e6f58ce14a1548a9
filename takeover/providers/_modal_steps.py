"""`python -m takeover.providers._modal_steps deploy|down NAME`: what components/modal.py has pulumi-command run.

`deploy` takes its settings from the environment, runs the real `modal deploy` and prints one line; `down` runs
`modal app stop` and removes the volume, or finds nothing to do. Both wait for another process that works on the same
endpoint. What went wrong is the last thing on stderr, after the error's name: the engine's driver makes it one error
again. Nothing heavier than pydantic is imported for `deploy`, which is so hardly slower than the bare command.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from takeover.errors import TakeoverError
from takeover.home import home_dir
from takeover.modal_contract import parse_container_settings
from takeover.providers._local_state import EndpointFolder, exclusive
from takeover.providers._modal_cli import modal_deploy, modal_stop
from takeover.providers._modal_credentials import require_credentials

__all__ = ["main"]


async def _deploy(name: str) -> None:
    settings = parse_container_settings(os.environ)
    require_credentials(os.environ)
    async with exclusive(EndpointFolder(home_dir(), name)):
        await modal_deploy(settings, folder=Path.cwd(), say=_tell)
    sys.stdout.write(json.dumps({"app": name, "serves": [adapter.served_name for adapter in settings.adapters]}) + "\n")


async def _down(name: str) -> None:
    from takeover.providers import _modal_sdk as sdk

    require_credentials(os.environ)
    async with exclusive(EndpointFolder(home_dir(), name)):
        if await asyncio.to_thread(sdk.look, name) is not None:
            await modal_stop(name, say=_tell)
        await asyncio.to_thread(sdk.remove, name)


_STEPS: Mapping[str, Callable[[str], Awaitable[None]]] = {"deploy": _deploy, "down": _down}


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main(arguments: list[str]) -> int:
    """Run one step; the exit code is the error's."""
    step, name = arguments
    try:
        asyncio.run(_run(_STEPS[step], name))
    except TakeoverError as error:
        _tell(f"{type(error).__name__.replace('Refusals', 'Refused')}: {error}")
        return error.exit_code
    return 0


async def _run(step: Callable[[str], Awaitable[None]], name: str) -> None:
    await step(name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
