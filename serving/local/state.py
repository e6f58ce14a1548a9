"""The server's folder: one server at a time, its key, and `server.json`, which says where it listens and how it is.

key            the bearer key, mode 600, made by whoever starts the server
server.lock    held (flock) for the server's whole life
server.json    pid, startTime, host, port, url, base, baseRevision, state, startedMs
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from pydantic import SecretStr

from takeover.errors import Refused, TakeoverError
from takeover.folders import full_disk_refused

__all__ = ["AlreadyServed", "ServerFile", "bind", "hold_lock", "read_key"]


class AlreadyServed(TakeoverError):
    """Another server holds the folder."""

    exit_code = 3


@contextmanager
def hold_lock(folder: Path) -> Iterator[None]:
    """Be the folder's only server; AlreadyServed at once when there is one. The system frees it with the process."""
    if not folder.is_dir():
        raise Refused("there is no such folder", fix="It is made by `takeover up`.", where=f"--state-dir {folder}")
    with full_disk_refused(folder):
        handle = os.open(folder / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(handle, folder)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AlreadyServed(
            "another server runs for this folder", why="One folder has one server.", where=str(folder)
        ) from None


def read_key(folder: Path) -> SecretStr:
    """The bearer key; Refused when it is missing, empty, or readable by others."""
    path = folder / "key"
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Refused(f"the key cannot be read: {error.strerror}", where=str(path)) from None
    if stat.S_IMODE(mode) & 0o077:
        raise Refused("others can read the key", fix=f"chmod 600 {path}", where=str(path))
    if not text:
        raise Refused("the key is empty", fix="Remove the file and start again.", where=str(path))
    return SecretStr(text)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; Refused when the port is taken or may not be used, or the host is not this machine alone."""
    if host not in ("127.0.0.1", "localhost", "::1"):
        raise Refused(
            f"the host is {host!r}, but the local tier listens on this machine alone",
            why="Everybody who reaches the port could try keys, and http is not encrypted.",
            fix="Leave --host out; to serve others, use another tier.",
            where="--host",
        )
    made = socket.socket(socket.AF_INET6 if host == "::1" else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(128)
    except (OSError, OverflowError) as error:
        made.close()
        taken = getattr(error, "errno", None) == errno.EADDRINUSE
        raise Refused(
            f"port {port} is in use" if taken else f"port {port} cannot be used: {error}",
            fix="Choose another with takeover:local.port, or leave it out for any free one.",
            where="--port",
        ) from None
    return made


@dataclass
class ServerFile:
    """`server.json`, written whole at every change."""

    folder: Path
    host: str
    port: int
    base: str
    revision: str | None = None
    started_ms: int | None = None

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def write(self, state: str) -> None:
        path = self.folder / "server.json"
        building = path.with_suffix(".json.writing")
        with full_disk_refused(path):
            building.write_text(json.dumps(self._facts(state), indent=2) + "\n", encoding="utf-8")
            building.replace(path)

    def mark_ready(self, revision: str) -> None:
        """Note the base's revision, and how long the process took from its start until now."""
        self.revision = revision
        self.started_ms = round((time.time() - psutil.Process().create_time()) * 1000)
        self.write("ready")

    def remove(self) -> None:
        (self.folder / "server.json").unlink(missing_ok=True)

    def _facts(self, state: str) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "startTime": psutil.Process().create_time(),
            "host": self.host,
            "port": self.port,
            "url": self.url,
            "base": self.base,
            "baseRevision": self.revision,
            "state": state,
            "startedMs": self.started_ms,
        }
