"""Processes that outlive the one that starts them, found again without ever mistaking a stranger for one of ours.

A process of an endpoint carries the endpoint's folder in its environment (`TAKEOVER_ENDPOINT_DIR`). A pid alone is
never trusted: it goes together with that mark and with the start time that the system keeps for it.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["MARK", "ProcessId", "find", "find_marked", "server_environment", "spawn", "stop", "tail"]

MARK = "TAKEOVER_ENDPOINT_DIR"

# Two processes may compute the same start time from boot times that a clock correction moved apart.
_SAME_START_S = 2.0
_KILL_AFTER_S = 5.0
_LOOK_EVERY_S = 0.05
_CREDENTIAL = re.compile(r"(^|_)(SECRET|PASSWORD|PASSPHRASE|API_KEY|ACCESS_KEY|TOKEN)(_|$)")
_NEEDED = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}  # the server itself fetches a gated base
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class ProcessId:
    """A process for good: `start_time` is psutil's create_time, seconds since 1970."""

    pid: int
    start_time: float


def find(identity: ProcessId, folder: Path) -> psutil.Process | None:
    """The process of the endpoint in `folder` if it still runs; a zombie has ended, a recycled pid is another one."""
    try:
        process = psutil.Process(identity.pid)
        is_same = abs(process.create_time() - identity.start_time) < _SAME_START_S
    except psutil.Error:
        return None
    return process if is_same and _mark_of(process) == str(folder) else None


def find_marked(folder: Path) -> list[psutil.Process]:
    """Every running process of the endpoint in `folder`, by its environment: also one whose files are gone."""
    wanted = str(folder)
    return [process for process in psutil.process_iter() if _mark_of(process) == wanted]


def _mark_of(process: psutil.Process) -> str | None:
    """The folder that it carries; None for one that carries none, has ended, or is of another user."""
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None


def server_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What a server inherits: everything but the engine's own variables and other vendors' credentials."""
    return {
        name: value
        for name, value in environment.items()
        if name in _NEEDED or not (name.startswith("PULUMI_") or _CREDENTIAL.search(name))
    }


def spawn(
    command: Sequence[str], *, folder: Path, log: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, so that no Ctrl-C, hang-up or engine reaches it; output goes to `log`.

    It inherits `server_environment` of ours, with `environment` and the mark of `folder` on top.
    """
    inherited = server_environment(os.environ)
    with log.open("ab") as output:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=_ROOT,
            env={**inherited, **environment, MARK: str(folder), "PYTHONUNBUFFERED": "1"},
        )


async def stop(processes: Sequence[psutil.Process], *, drain_s: float) -> None:
    """SIGTERM, wait for as long as a drain may take, then SIGKILL. What has ended already is a success."""
    for number, patience_s in ((signal.SIGTERM, drain_s + _KILL_AFTER_S), (signal.SIGKILL, _KILL_AFTER_S)):
        for process in processes:
            _signal(process, number)
        if not await _outlasting(processes, patience_s):
            return


async def _outlasting(processes: Sequence[psutil.Process], patience_s: float) -> list[psutil.Process]:
    """Those that still run after so long; returns as soon as there are none."""
    give_up_at = time.monotonic() + patience_s
    while True:
        left = [process for process in processes if not _ended(process)]
        if not left or time.monotonic() > give_up_at:
            return left
        await asyncio.sleep(_LOOK_EVERY_S)


def _ended(process: psutil.Process) -> bool:
    """Whether it has ended; a child of our own is reaped by asking, another's may stay a zombie for a while."""
    try:
        process.wait(timeout=0)
    except psutil.TimeoutExpired:
        return _is_zombie(process)
    except psutil.NoSuchProcess:
        return True
    return True


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    """psutil compares the start time before it signals, so a pid recycled meanwhile is safe."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log, empty when there is none; reads its end only."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 16_384))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    kept = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(kept[-lines:])
