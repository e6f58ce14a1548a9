"""A folder in the cache: made once by one process, verified on every use, made again when it was damaged."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from takeover.folders import full_disk_refused, new_folder, sha256_of, walk

__all__ = ["Say", "cached_folder", "content_hashes"]

Say = Callable[[str], None]
_SEAL = "takeover-files.json"


def cached_folder(folder: Path, make: Callable[[Path], None], say: Say) -> Path:
    """`folder`, made by `make(empty folder)` unless it is there and whole. Others who want it wait for one maker.

    Its files' hashes are written beside them; a folder that does not fit them (a damaged disk, an edited file) is
    thrown away and made again. Reading 517 MB for that takes about half a second.
    """
    with full_disk_refused(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(folder.name + ".lock")):
            if _is_whole(folder):
                return folder
            if folder.exists():
                say(f"{folder} is damaged and is made again")
                shutil.rmtree(folder)
            with new_folder(folder) as building:
                make(building)
                (building / _SEAL).write_text(json.dumps(content_hashes(building), indent=2), encoding="utf-8")
    return folder


def content_hashes(folder: Path) -> dict[str, str]:
    """Path -> SHA-256 in hex of every file in the folder but hidden ones and the seal; links to files are followed."""
    names = [name for name, facts in walk(folder) if not stat.S_ISDIR(facts.st_mode) and not _hidden(name)]
    return {name: sha256_of((folder / name).resolve()) for name in sorted(names) if name != _SEAL}


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in Path(name).parts)


def _is_whole(folder: Path) -> bool:
    try:
        sealed = json.loads((folder / _SEAL).read_text(encoding="utf-8"))
        return bool(sealed == content_hashes(folder))
    except (OSError, ValueError):
        return False
