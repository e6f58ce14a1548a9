"""What `takeover deploy` has put up, noted in the project's home before anything is made.

One file for each endpoint, so that what a killed deployment began is found again although its outputs were never
written: `<home>/deployed/<endpoint>.json` holds the provider, the path of the outputs file and what was asked for, and
no secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from takeover.folders import full_disk_refused
from takeover.home import home_dir

__all__ = ["Noted", "forget", "note", "noted", "noted_all"]


@dataclass(frozen=True)
class Noted:
    """One deployment: the endpoint's name, its tier, the whole path of its outputs file, its kind of cluster.

    `spec` and `models` are what was asked for (EndpointSpec, TrainedModel), for providers that are `Knowing`.
    """

    name: str
    provider: str
    outputs: str
    cluster: str | None = None
    spec: Mapping[str, Any] | None = None
    models: Sequence[Mapping[str, Any]] = ()


def note(entry: Noted) -> None:
    """Write it down; the same name again replaces what was there."""
    path = _path(entry.name)
    with full_disk_refused(path):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        building = path.with_suffix(".new")
        building.write_text(json.dumps(asdict(entry)))
        building.replace(path)


def noted(name: str) -> Noted | None:
    """What is noted of that endpoint; None where there is nothing, or what there is cannot be read."""
    try:
        return Noted(**json.loads(_path(name).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def noted_all() -> list[Noted]:
    """Everything that is noted, by name."""
    names = sorted(path.stem for path in _path("x").parent.glob("*.json"))
    return [entry for name in names if (entry := noted(name)) is not None]


def forget(name: str) -> None:
    _path(name).unlink(missing_ok=True)


def _path(name: str) -> Path:
    return home_dir() / "deployed" / f"{name}.json"
