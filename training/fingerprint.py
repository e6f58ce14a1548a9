"""What makes two training runs the same: config, data, base and versions; kept in manifest and work folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from takeover.bases import BaseRef
from takeover.bases.materialise import materialise
from training.config import TrainingConfig
from training.datasets.load import sources_of
from training.datasets.sources import source_digest

__all__ = ["LIBRARIES", "changes", "fingerprint", "library_versions"]

LIBRARIES = ("accelerate", "datasets", "peft", "safetensors", "tokenizers", "torch", "transformers", "trl")


def fingerprint(config: TrainingConfig, ref: BaseRef) -> dict[str, Any]:
    """The run's identity as JSON values, without loading torch or a base.

    Reads the data files (their SHA-256; a Hub data set counts by its commit) and, for a folder, the base's files.
    Paths do not count: the same data elsewhere are the same data.
    """
    train, held_out = sources_of(config.data)
    settings = config.model_dump(mode="json", exclude={"base": True, "data": {"train", "eval"}})
    return {
        "config": settings,
        "data": {"train": source_digest(train), "eval": None if held_out is None else source_digest(held_out)},
        "base": _identity(ref),
        "versions": library_versions(),
    }


def library_versions() -> dict[str, str]:
    """Versions of what decides the result, read from the installed packages' metadata."""
    return {name: metadata.version(name) for name in LIBRARIES}


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs, one line a key: `config.learning_rate was 0.0002 and is 0.0003`. Empty: the same run."""
    old, new = _flat(before), _flat(now)
    keys = sorted((old.keys() | new.keys()), key=lambda key: (key.partition(".")[0] != "config", key))
    return [
        f"{key} was {_shown(old.get(key))} and is {_shown(new.get(key))}"
        for key in keys
        if old.get(key) != new.get(key)
    ]


def _identity(ref: BaseRef) -> str:
    # A commit and a package's version pin the content; a folder's and the made base's content must be looked at.
    return str(ref) if ref.kind in ("hub", "pypi") else f"{ref} ({materialise(ref).revision})"


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, entry in value.items():
        found |= _flat(entry, f"{prefix}{key}.") if isinstance(entry, Mapping) else {f"{prefix}{key}": entry}
    return found


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
