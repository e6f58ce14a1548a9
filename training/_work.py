"""The folder beside `--out` in which a run is made: `<out>.work/`. It outlives a crash and goes with success.

run.json       the run's identity (what `--resume` must find unchanged), its threads and device
rows/          the training rows, with TRL's reference log-probabilities once they are computed
base.json      the base's figures and answers on the held-out rows
metrics.jsonl  every logged step
checkpoints/   checkpoint-<step>/, each sealed when it is whole
lock           held by the process that is training
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from takeover.errors import Refused
from takeover.folders import full_disk_refused
from training.checkpoints import Checkpoint, newest_whole
from training.fingerprint import changes

__all__ = ["Work"]


@dataclass(frozen=True)
class Work:
    """The work folder of one `--out`."""

    out: Path

    @property
    def path(self) -> Path:
        return self.out.with_name(self.out.name + ".work")

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    def newest(self) -> Checkpoint | None:
        return newest_whole(self.checkpoints)

    def read(self, name: str) -> Any:
        """The JSON file `name`, or None when it is not there or cannot be read."""
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def write(self, name: str, value: Any) -> None:
        """Write the JSON file `name` whole or not at all."""
        unfinished = self.path / f"{name}.new"
        with unfinished.open("w", encoding="utf-8") as file:
            json.dump(value, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(self.path / name)

    def require_may_start(self, identity: Mapping[str, Any], *, resume: bool) -> Checkpoint | None:
        """The checkpoint to go on from. Refused when an unfinished run is there that is another one, or not asked for.

        Reads only. A folder without any whole checkpoint holds nothing worth keeping, and counts as absent.
        """
        found = self.newest()
        if found is None:
            return None
        run = self.read("run.json") or {}
        differing = changes(run.get("identity", {}), identity)
        if differing:
            raise Refused(
                f"{self.path} holds an unfinished run of something else (step {found.step})",
                why="Changed since: " + "; ".join(differing) + ".",
                fix=f"Undo the change and add --resume, or begin again after `rm -r {self.path}`.",
            )
        if not resume:
            raise Refused(
                f"{self.path} holds an unfinished run of just this (step {found.step})",
                fix=f"Add --resume to go on, or begin again after `rm -r {self.path}`.",
            )
        return found

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder for this process, made if need be. Refused when another one trains in it.

        What failed before its first whole checkpoint leaves no folder; what failed later keeps it for `--resume`.
        """
        try:
            with full_disk_refused(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Refused(f"{self.path} cannot be made: {error.strerror}", fix="Choose another --out.") from error
        lock = FileLock(self.path / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise Refused(
                f"another process is training into {self.out}", fix="Wait for it, or use another --out."
            ) from None
        try:
            yield
        finally:
            if self.newest() is None:
                self.remove()
            lock.release()

    def remove_leftover(self) -> None:
        """Remove what a process left that was killed after its artifact was written; not one that is in use."""
        if not self.path.is_dir():
            return
        try:
            with FileLock(self.path / "lock", timeout=0):
                self.remove()
        except Timeout:
            return

    def clear(self) -> None:
        """Empty the folder but for the lock."""
        for entry in self.path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
