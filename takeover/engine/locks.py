"""Who holds a stack in a file backend: an update that lives, or one that was killed and left its lock behind."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from takeover.errors import Refused

__all__ = ["Lock", "clear_dead", "is_dead", "is_held", "parse_lock", "stack_locks"]

# The engine writes its lock after it has started; clocks of one machine agree far better than this.
_SLACK_S = 2.0

StartOf = Callable[[int], float | None]


@dataclass(frozen=True)
class Lock:
    """One lock file of the engine (pkg/backend/diy/lock.go, v3.274.1); `since` is in seconds since the epoch."""

    pid: int
    user: str
    host: str
    since: float

    def __str__(self) -> str:
        began = datetime.fromtimestamp(self.since).astimezone()
        return f"pid {self.pid} of {self.user} on {self.host}, since {began:%Y-%m-%d %H:%M:%S}"


def parse_lock(text: str) -> Lock | None:
    """A lock file's content; None where it is cut off or of another shape."""
    try:
        found = json.loads(text)
        since = datetime.fromisoformat(_to_microseconds(found["timestamp"])).timestamp()
        return Lock(int(found["pid"]), str(found["username"]), str(found["hostname"]), since)
    except (ValueError, KeyError, TypeError):
        return None


def _to_microseconds(timestamp: str) -> str:
    """Go writes up to nine decimals of a second, Python 3.11 reads at most six of them."""
    head, point, rest = timestamp.partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    return f"{head}{point}{rest[:digits][:6]}{rest[digits:]}"


def is_dead(lock: Lock, *, host: str, start_of: StartOf) -> bool:
    """Whether its process is gone: no such pid on this host, or one that started after the lock was made.

    A lock of another host is never dead: nobody can tell from here.
    """
    if lock.host != host:
        return False
    started = start_of(lock.pid)
    return started is None or started > lock.since + _SLACK_S


def process_start(pid: int) -> float | None:
    """When the process with this pid started (seconds since the epoch); None when there is none, or a zombie."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return process.create_time()
    return None


def stack_locks(state: Path, project: str, stack: str) -> list[Path]:
    """The lock files of a stack in a file backend."""
    name = stack.rpartition("/")[2]
    return sorted((state / ".pulumi" / "locks" / "organization" / project / name).glob("*.json"))


def is_held(state: Path, project: str, stack: str) -> bool:
    """Whether an update that lives works on the stack now."""
    for path in stack_locks(state, project, stack):
        with suppress(FileNotFoundError):
            lock = parse_lock(path.read_text())
            if lock is None or not is_dead(lock, host=socket.gethostname(), start_of=process_start):
                return True
    return False


def clear_dead(state: Path, project: str, stack: str) -> list[Lock]:
    """Remove the locks of killed updates and return these; Refused when a living update holds the stack."""
    dead: list[Lock] = []
    for path in stack_locks(state, project, stack):
        try:
            lock = parse_lock(path.read_text())
        except FileNotFoundError:
            continue
        if lock is None:
            continue
        if not is_dead(lock, host=socket.gethostname(), start_of=process_start):
            raise held(stack, str(lock))
        for file in (path, path.with_name(path.name + ".attrs")):
            file.unlink(missing_ok=True)
        dead.append(lock)
    return dead


def held(stack: str, by: str) -> Refused:
    """The refusal of a second update at the same time."""
    return Refused(
        f"another update of the stack {stack} is running" + (f" ({by})" if by else ""),
        why="Two at once would write over each other's state; nothing was changed.",
        fix="Wait until it ends. If it runs on another machine and is known to be dead: "
        f"takeover pulumi cancel --yes --stack {stack}",
    )
