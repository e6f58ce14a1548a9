"""Folders made whole or not at all, and read as a list of plain files with their hashes."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from takeover.errors import Refused

__all__ = ["digest_text", "full_disk_refused", "new_folder", "sha256_of", "sha256_of_text", "waited_lock", "walk"]

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_STALE_AFTER_S = 60.0


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A sibling of `out` to build in, renamed to `out` when the block ends well and removed when it does not.

    After a crash at any moment `out` is either absent or whole; what a killed process left beside it goes with the
    next call. Refused when `out` exists, or when the disk is full.
    """
    if os.path.lexists(out):
        raise _exists(out)
    with full_disk_refused(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(out)
        building = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".writing"))
        handle = os.open(building, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield building
            _sync(building)
            building.chmod(0o755)
            if os.path.lexists(out):
                raise _exists(out)
            building.rename(out)
            _sync_folder(out.parent)
        finally:
            os.close(handle)
            shutil.rmtree(building, ignore_errors=True)


def _exists(out: Path) -> Refused:
    return Refused(
        f"{out} exists already",
        why="What was written once is never overwritten.",
        fix="Name another folder, or remove this one first.",
    )


@contextmanager
def full_disk_refused(where: Path) -> Iterator[None]:
    """A disk that has no room is the user's to mend: Refused in place of OSError."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        raise Refused(
            f"no space left to write {where}",
            why="The disk (or the quota) is full; nothing half-made was left.",
            fix="Free some space, or choose a folder on another disk.",
        ) from error


@contextmanager
def waited_lock(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """The right to make or change `folder`, which need not exist; `say` hears of it when another process has it."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder.with_name(folder.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"waiting for another process that makes or checks {folder.name}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _remove_abandoned(out: Path) -> None:
    """Remove what a killed writer left: a living one holds its lock, and a young folder may not have it yet."""
    for left in out.parent.glob(f".{out.name}.*.writing"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime < _STALE_AFTER_S:
                continue
            handle = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(handle)


def _sync(folder: Path) -> None:
    """Bring every file to the disk before the rename that makes it visible."""
    for path in folder.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def walk(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Everything in `folder` as (relative path with slashes, lstat), folders too, unordered; no link is followed."""
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                facts = entry.stat(follow_symlinks=False)
                yield Path(entry.path).relative_to(folder).as_posix(), facts
                if stat.S_ISDIR(facts.st_mode):
                    waiting.append(Path(entry.path))


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hex, read in pieces; a link is not followed (OSError)."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_text(text: str) -> str:
    """`sha256:` and the SHA-256 of the text's UTF-8 in hex."""
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def digest_text(hashes: Mapping[str, str]) -> str:
    """What `sha256sum` prints for these files (path -> hex), sorted by path in the C locale.

    Refused for a name that `sha256sum` would escape: the text would not be the one it prints.
    """
    for path in hashes:
        if any(mark in path for mark in "\\\n\r"):
            raise Refused(
                f"the file name {path!r} holds a backslash or a line break",
                why="sha256sum writes such a name in another way, so the digest could not be recomputed.",
                fix="Rename the file.",
                where=path,
            )
    ordered = sorted(hashes.items(), key=lambda item: os.fsencode(item[0]))
    return "".join(f"{digest}  {path}\n" for path, digest in ordered)
