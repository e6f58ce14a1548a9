"""The real `modal` command, run as a process: what it prints is progress, and why it failed becomes one error."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from takeover.modal_contract import ContainerSettings, container_environment
from takeover.providers._modal_errors import error_of_output, hidden
from takeover.providers._modal_source import APP_FILE, ROOT

__all__ = ["deploy_command", "modal_deploy", "modal_stop"]

_MODAL = (sys.executable, "-m", "modal")

# Wide enough that no line of its own is broken in two.
_WIDE = "400"
_LONGEST_LINE = 1 << 20
_STAGED = re.compile(r"\S*/takeover-modal-\w+")


def deploy_command() -> list[str]:
    """`modal deploy` of the app, by the Python that runs this."""
    return [*_MODAL, "deploy", str(ROOT / APP_FILE)]


async def modal_deploy(settings: ContainerSettings, *, folder: Path, say: Callable[[str], None]) -> None:
    """Run it in `folder`, where the adapters' relative folders begin; `say` hears its lines. Raises what went wrong.

    Cancelled, it ends the command; what Modal had built by then stays built, and the next deploy goes on from there.
    """
    environment = {**os.environ, **container_environment(settings)}
    code, log, errors = await _run(deploy_command(), folder, environment, say)
    if code != 0:
        raise error_of_output(errors, log, name=settings.name)


async def modal_stop(name: str, *, say: Callable[[str], None]) -> None:
    """`modal app stop`, for an app that runs."""
    code, log, errors = await _run([*_MODAL, "app", "stop", name, "--yes"], ROOT, os.environ, say)
    if code != 0:
        raise error_of_output(errors, log, name=name)


async def _run(
    command: list[str], folder: Path, environment: Mapping[str, str], say: Callable[[str], None]
) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**environment, "COLUMNS": _WIDE, "NO_COLOR": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        log, errors = await asyncio.gather(_lines(process.stdout, say), _lines(process.stderr, lambda _: None))
        return await process.wait(), log, errors
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _lines(stream: asyncio.StreamReader, say: Callable[[str], None]) -> str:
    """All of it, each line handed on as it comes: nothing in it looks like a token, or is a place on this machine."""
    lines = []
    async for raw in stream:
        line = _STAGED.sub("the app's source", hidden(raw.decode("utf-8", "replace").rstrip()))
        lines.append(line.replace(f"{ROOT}/", ""))
        if line:
            say(lines[-1])
    return "\n".join(lines)
