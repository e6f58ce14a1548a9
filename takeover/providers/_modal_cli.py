"""The real `modal` command, run as a process: what it prints is progress, and why it failed becomes one error."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from takeover.modal_contract import ContainerSettings, container_environment
from takeover.providers._modal_errors import error_of_output, hidden
from takeover.providers._modal_source import APP_FILE, ROOT

__all__ = ["deploy_command", "modal_deploy"]

# Wide enough that no line of its own is broken in two.
_WIDE = "400"
_LONGEST_LINE = 1 << 20


def deploy_command() -> list[str]:
    """`modal deploy` of the app, by the Python that runs this."""
    return [sys.executable, "-m", "modal", "deploy", str(ROOT / APP_FILE)]


async def modal_deploy(settings: ContainerSettings, *, folder: Path, say: Callable[[str], None]) -> None:
    """Run it in `folder`, where the adapters' relative folders begin; `say` hears its lines. Raises what went wrong.

    Cancelled, it ends the command; what Modal had built by then stays built, and the next deploy goes on from there.
    """
    process = await asyncio.create_subprocess_exec(
        *deploy_command(),
        cwd=folder,
        env=_environment(settings, os.environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        log, errors = await asyncio.gather(_lines(process.stdout, say), _lines(process.stderr, lambda _: None))
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    if code != 0:
        raise error_of_output(errors, log, name=settings.name)


def _environment(settings: ContainerSettings, environ: Mapping[str, str]) -> dict[str, str]:
    return {**environ, **container_environment(settings), "COLUMNS": _WIDE, "NO_COLOR": "1"}


async def _lines(stream: asyncio.StreamReader, say: Callable[[str], None]) -> str:
    """All of it, each line handed on as it comes, and nothing in it that looks like a token."""
    lines = []
    async for raw in stream:
        line = hidden(raw.decode("utf-8", "replace").rstrip())
        lines.append(line)
        if line:
            say(line)
    return "\n".join(lines)
