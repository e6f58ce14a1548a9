"""What was asked for under each endpoint's name: servers of others hold no state of ours.

A desk is a folder with one record for each endpoint: the project's home has one, so that an endpoint is found by its
name alone, and the shared folder has one, which other machines see too. A record is written before anything is
loaded, so that a crash forgets nothing; and it says who uses an adapter, for two endpoints may serve the same one on
the same server (staging and production), and the first to leave must not take it from the other.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from takeover.folders import full_disk_refused
from takeover.providers._base import EndpointSpec, TrainedModel

__all__ = ["Desks", "Record", "Retired"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


class Retired(_Part):
    """A version that is not wanted any more, since `since` (seconds since 1970), and may still answer."""

    name: str
    digest: str
    since: float


class Record(_Part):
    """What is wanted, at which cluster, and what of before may still be loaded.

    `paths` are what the servers were told to load, by the name that it is loaded under.
    """

    spec: EndpointSpec
    models: tuple[TrainedModel, ...]
    root: str
    paths: Mapping[str, str]
    retired: tuple[Retired, ...] = ()


@dataclass(frozen=True)
class Desks:
    """The folders with records; a later one is believed first."""

    folders: tuple[Path, ...]

    def read(self, endpoint: str) -> Record | None:
        """None where there is none, or what there is cannot be read."""
        found = [_read(_file(folder, endpoint)) for folder in reversed(self.folders)]
        return next((record for record in found if record is not None), None)

    def others(self, endpoint: str) -> list[Record]:
        """The records of all other endpoints."""
        names = {file.stem for folder in self.folders for file in (folder / "endpoints").glob("*.json")} - {endpoint}
        return [record for name in sorted(names) if (record := self.read(name)) is not None]

    def write(self, endpoint: str, record: Record) -> None:
        """Whole or not at all, at each desk."""
        for folder in self.folders:
            file = _file(folder, endpoint)
            with full_disk_refused(file):
                file.parent.mkdir(parents=True, exist_ok=True)
                handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
                with os.fdopen(handle, "w") as building:
                    building.write(record.model_dump_json(by_alias=True, indent=2))
                # It holds no secret, and another machine may come as another user.
                Path(name).chmod(0o644)
                Path(name).replace(file)

    def remove(self, endpoint: str) -> None:
        for folder in self.folders:
            with suppress(FileNotFoundError):
                _file(folder, endpoint).unlink()


def _file(folder: Path, endpoint: str) -> Path:
    return folder / "endpoints" / f"{endpoint}.json"


def _read(file: Path) -> Record | None:
    try:
        return Record.model_validate_json(file.read_text())
    except (OSError, ValidationError):
        return None
