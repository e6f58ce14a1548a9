"""Failures of the machine, told as such: a full disk or no memory in place of a traceback."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from takeover.errors import Refused, TakeoverError

__all__ = ["explained"]

_NO_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")
_NO_SPACE = ("no space left on device", "disk quota exceeded")
_LEAST_FREE = 1_000_000


def explained(error: Exception, work: Path) -> Refused | None:
    """The error as one clear message, or None when it is of another kind. `work` is where checkpoints are written."""
    if isinstance(error, TakeoverError):
        return None
    text = str(error).lower()
    if isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY):
        return Refused(
            "no memory left while training",
            why=str(error).splitlines()[0] if str(error) else "",
            fix="Lower batch_size (raise gradient_accumulation_steps as much) or max_length, or set "
            "gradient_checkpointing: true; then run again.",
        )
    if _is_full_disk(error, text, work):
        return Refused(
            f"no space left on the disk of {work}",
            why="A checkpoint or the adapter could not be written; the last whole checkpoint is kept.",
            fix="Free some space and run the same command with --resume.",
        )
    return None


def _is_full_disk(error: Exception, text: str, work: Path) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    if any(words in text for words in _NO_SPACE):
        return True
    # torch.save reports a full disk as a RuntimeError of its own stream, without the reason.
    writing = isinstance(error, RuntimeError) and ("pytorchstreamwriter" in text or "unexpected pos" in text)
    return writing and shutil.disk_usage(work).free < _LEAST_FREE
