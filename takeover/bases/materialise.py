"""A base as a folder on this machine, that `from_pretrained` reads: downloaded, converted or made, once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import psutil

from takeover.bases import BaseRef, cache_dir
from takeover.bases._cached import Say, cached_folder
from takeover.bases._hub import BASE_FILES, has_weights, materialise_hub
from takeover.bases._pypi import materialise_pypi
from takeover.bases._tiny import RECIPE, write_tiny
from takeover.errors import Refused
from takeover.folders import digest_text, sha256_of, sha256_of_text
from takeover.safetensors_header import BYTES_OF, read_header

__all__ = ["LocalBase", "materialise", "require_memory", "weight_bytes"]

_BYTES_PER_WEIGHT = {"float32": 4, "bfloat16": 2, "float16": 2}
_FLOATS = {"F16", "BF16", "F32", "F64"}
_ROOM = 1.15  # buffers, tokenizer and the interpreter's libraries on top of the weights


@dataclass(frozen=True)
class LocalBase:
    """A base on this machine: `path` for `from_pretrained`, `revision` a commit or `sha256:<64 hex>` of its content."""

    ref: BaseRef
    path: Path
    revision: str


def _to_stderr(text: str) -> None:
    sys.stderr.write(text + "\n")


def materialise(ref: BaseRef, *, say: Callable[[str], None] = _to_stderr) -> LocalBase:
    """Make sure that the base is on this machine, whole, and say where. `say` hears what takes long.

    Kept in `cache_dir()` (a Hub model in the Hub's own cache); two processes at once make it once. Refused when it
    cannot be had, the disk is full, or it is not what was recorded; then nothing half-made is left.
    """
    makers: dict[str, Callable[[], tuple[Path, str]]] = {
        "hub": lambda: materialise_hub(ref, say),
        "folder": lambda: _folder(Path(ref.name)),
        "tiny": lambda: _tiny(say),
        "pypi": lambda: materialise_pypi(ref, cache_dir() / "bases", say),
    }
    path, revision = makers[ref.kind]()
    return LocalBase(ref, path, revision)


def _tiny(say: Say) -> tuple[Path, str]:
    folder = cached_folder(cache_dir() / "bases" / f"tiny-{RECIPE}", write_tiny, say)
    return folder, _content_revision(folder)


def _folder(path: Path) -> tuple[Path, str]:
    if not has_weights(path):
        raise Refused(
            f"the folder {path} is no base",
            why="A base is a folder with config.json, weights as *.safetensors (all shards), and a tokenizer.",
            fix="Check the path; save a model there with `save_pretrained`.",
        )
    try:
        return path, _content_revision(path)
    except OSError as error:
        raise Refused(f"the base's file {error.filename} cannot be read: {error.strerror}") from error


def _content_revision(path: Path) -> str:
    """`sha256:` of the text that sha256sum prints for the base's files, in the C locale; about 1.5 GB a second."""
    files = (file for file in path.iterdir() if any(fnmatch(file.name, pattern) for pattern in BASE_FILES))
    return sha256_of_text(digest_text({file.name: sha256_of(file.resolve()) for file in files}))


def weight_bytes(path: Path, dtype: str = "auto") -> int:
    """Bytes that the folder's weights take in memory; `auto` as stored, else float32, bfloat16 or float16."""
    total = 0
    for file in sorted(path.glob("*.safetensors")):
        for tensor in read_header(file):
            stored = BYTES_OF[tensor.dtype]
            kept = _BYTES_PER_WEIGHT.get(dtype, stored) if tensor.dtype in _FLOATS else stored
            total += (tensor.end - tensor.begin) // stored * kept
    return total


def require_memory(path: Path, dtype: str = "auto") -> None:
    """Refused, with the figures, when the base at `path` does not fit into the memory that is free now."""
    needed = int(weight_bytes(path, dtype) * _ROOM)
    available = psutil.virtual_memory().available
    if needed > available:
        kind = "as stored" if dtype == "auto" else f"as {dtype}"
        raise Refused(
            f"no memory for the base: it needs {needed / 1e9:.1f} GB {kind}, {available / 1e9:.1f} GB are free",
            why=f"That is the size of the weights in {path} and 15% for what comes with them.",
            fix="Close other programs, choose a smaller base, or load it as bfloat16, which takes half of float32.",
        )
