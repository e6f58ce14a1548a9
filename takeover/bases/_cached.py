"""A folder in the cache: made once by one process, verified on every use, made again when it was damaged."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from takeover.folders import digest_text, full_disk_refused, new_folder, sha256_of, waited_lock, walk

__all__ = ["Say", "cached_folder"]

Say = Callable[[str], None]
_SEAL = "takeover-files.sha256"  # as `sha256sum` writes it: `sha256sum -c` reads it


def cached_folder(folder: Path, make: Callable[[Path], None], say: Say) -> Path:
    """`folder`, made by `make(empty folder)` unless it is there and whole. Others who want it wait for one maker.

    Its files' hashes are written beside them; a folder that does not fit them (a damaged disk, an edited file) is
    thrown away and made again. Reading 517 MB for that takes about half a second.
    """
    with full_disk_refused(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with waited_lock(folder, say):
            if _is_whole(folder):
                return folder
            if folder.exists():
                say(f"{folder} is damaged and is made again")
                shutil.rmtree(folder)
            with new_folder(folder) as building:
                make(building)
                (building / _SEAL).write_text(digest_text(_hashes(building)), encoding="utf-8")
    return folder


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(name for name, facts in walk(folder) if stat.S_ISREG(facts.st_mode) and name != _SEAL)
    return {name: sha256_of(folder / name) for name in files}


def _is_whole(folder: Path) -> bool:
    try:
        return (folder / _SEAL).read_text(encoding="utf-8") == digest_text(_hashes(folder))
    except (OSError, ValueError):
        return False
