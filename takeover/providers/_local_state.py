"""What the local tier keeps of one endpoint: a folder with its key, what was asked, what the server tells of itself.

```
<home>/endpoints/<name>/    mode 700
  key            the bearer key, made once, mode 600
  record.json    what was asked for, written before anything is started
  server.json    written by the server: pid, start time, address, state; gone after a clean exit
  server.log     what the server prints
<home>/locks/<name>.lock    held while a deploy or a destroy works on that name
```
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from pydantic.alias_generators import to_camel

from takeover.errors import Refused
from takeover.folders import full_disk_refused
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.providers._process import ProcessId
from takeover.providers._progress import progress

__all__ = ["EndpointFolder", "Record", "ServerFile", "exclusive"]

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_LOCK_EVERY_S = 0.1


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


class Record(_File):
    """What was asked for last, the address it answers at, and (on a server of others) what we loaded there."""

    spec: EndpointSpec
    models: tuple[TrainedModel, ...]
    root: str = ""
    loaded: tuple[str, ...] = ()
    started_ms: int | None = None


class ServerFile(_File):
    """`server.json`. `state` is loading, ready or draining; `started_ms` is process start to ready, measured."""

    pid: int
    start_time: float
    host: str
    port: int
    url: str
    base: str
    base_revision: str | None = None
    state: str
    started_ms: int | None = None

    @property
    def process(self) -> ProcessId:
        return ProcessId(self.pid, self.start_time)

    @property
    def root(self) -> str:
        return f"http://{self.host}:{self.port}"


@dataclass(frozen=True)
class EndpointFolder:
    """The files of the endpoint `name`; methods that read return None for what is absent or cut off."""

    home: Path
    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise Refused(
                f"{self.name!r} cannot be an endpoint's name",
                why="It is a folder's name: lower-case letters, digits and dashes, at most 63.",
                fix="Leave the naming to `takeover.naming.endpoint_name`.",
                where="spec.name",
            )

    @property
    def path(self) -> Path:
        return self.home / "endpoints" / self.name

    @property
    def lock(self) -> Path:
        return self.home / "locks" / f"{self.name}.lock"

    @property
    def log(self) -> Path:
        return self.path / "server.log"

    def make(self) -> None:
        """The folder and its key, when they are absent."""
        with full_disk_refused(self.path):
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self.key() is None:
                self._write("key", secrets.token_urlsafe(32))

    def remove(self) -> None:
        """Everything of the endpoint but its lock; what is gone already is a success."""
        shutil.rmtree(self.path, ignore_errors=True)

    def key(self) -> SecretStr | None:
        text = self._read("key").strip()
        return SecretStr(text) if text else None

    def record(self) -> Record | None:
        try:
            return Record.model_validate_json(self._read("record.json"))
        except ValidationError:
            return None

    def write_record(self, record: Record) -> None:
        with full_disk_refused(self.path):
            self._write("record.json", record.model_dump_json(by_alias=True, indent=2))

    def server(self) -> ServerFile | None:
        try:
            return ServerFile.model_validate_json(self._read("server.json"))
        except ValidationError:
            return None

    def write_server(self, server: ServerFile) -> None:
        """For a server that does not write this file itself (vLLM)."""
        with full_disk_refused(self.path):
            self._write("server.json", server.model_dump_json(by_alias=True, indent=2))

    def forget_server(self) -> None:
        (self.path / "server.json").unlink(missing_ok=True)

    def _read(self, name: str) -> str:
        try:
            return (self.path / name).read_text()
        except FileNotFoundError:
            return ""

    def _write(self, name: str, text: str) -> None:
        """Whole or not at all, readable by its owner alone."""
        building = self.path / f".{name}.{os.getpid()}"
        try:
            with os.fdopen(os.open(building, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(text)
            building.replace(self.path / name)
        finally:
            building.unlink(missing_ok=True)


@asynccontextmanager
async def exclusive(folder: EndpointFolder) -> AsyncIterator[None]:
    """One deploy or destroy of a name at a time, over all processes of this machine; waits, and says so.

    The lock is the system's: it ends with the process that holds it, however that ends.
    """
    with full_disk_refused(folder.lock):
        folder.lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(folder.lock, thread_local=False)
    told = False
    while True:
        try:
            lock.acquire(timeout=0)
            break
        except Timeout:
            if not told:
                progress("queue", f"another process is working on {folder.name}; waiting for it")
                told = True
            await asyncio.sleep(_LOCK_EVERY_S)
    try:
        yield
    finally:
        lock.release()
