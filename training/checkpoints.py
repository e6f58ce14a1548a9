"""Checkpoints that can be trusted: each is sealed with the hashes of its files once it is whole.

A process that is killed while it writes a checkpoint leaves one without a seal, or with files that are not those of the
seal (a machine that lost power). Neither is used: the newest one that is whole is.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from takeover.folders import sha256_of

__all__ = ["Checkpoint", "is_whole", "newest_whole", "remove_broken", "seal"]

_SEAL = "complete.json"
_NAME = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True, order=True)
class Checkpoint:
    """A folder that the trainer wrote after `step` optimizer steps."""

    step: int
    path: Path


def seal(folder: Path) -> None:
    """Mark a checkpoint as whole: the list of its files' hashes appears by a rename.

    Nothing is forced to the disk, which would slow training down: should the machine lose power, the hashes tell, and
    the checkpoint before is used.
    """
    written = folder / f"{_SEAL}.new"
    written.write_text(json.dumps(_hashes(folder), indent=2, sort_keys=True), encoding="utf-8")
    written.rename(folder / _SEAL)


def is_whole(folder: Path) -> bool:
    """Whether the folder is sealed and every file is what was sealed; reads all of it."""
    try:
        sealed = json.loads((folder / _SEAL).read_text(encoding="utf-8"))
        return bool(sealed) and sealed == _hashes(folder)
    except (OSError, ValueError):
        return False


def newest_whole(folder: Path) -> Checkpoint | None:
    """The newest checkpoint in `folder` that is whole, or None. Reads only."""
    return next((found for found in reversed(_all(folder)) if is_whole(found.path)), None)


def remove_broken(folder: Path) -> list[int]:
    """Delete what was cut off, so that nothing takes it for a checkpoint; returns the steps of those removed."""
    broken = [found for found in _all(folder) if not is_whole(found.path)]
    for found in broken:
        shutil.rmtree(found.path)
    return [found.step for found in broken]


def _all(folder: Path) -> list[Checkpoint]:
    if not folder.is_dir():
        return []
    named = [(_NAME.fullmatch(path.name), path) for path in folder.iterdir() if path.is_dir()]
    return sorted(Checkpoint(int(match[1]), path) for match, path in named if match)


def _hashes(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(_SEAL))
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in paths}
