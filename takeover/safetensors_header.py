"""What stands in a safetensors file, read from its header alone: no torch, and no byte of a weight is read.

The format (https://huggingface.co/docs/safetensors, 2026-11): eight bytes of length, a JSON object that gives each
tensor's type, shape and place, then the tensors' bytes without a gap.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from takeover.errors import Refused

__all__ = ["BYTES_OF", "Tensor", "read_header"]

BYTES_OF = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
}  # fmt: skip
_LARGEST_HEADER = 100_000_000


@dataclass(frozen=True)
class Tensor:
    """One tensor: its type as safetensors names it, its shape, and where its bytes are, from the file's start."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_header(path: Path, *, where: str = "") -> tuple[Tensor, ...]:
    """The tensors of a file in the order of their bytes; Refused (named `where`, else the path) when it is broken."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
            size = path.stat().st_size
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
            if not 2 <= length <= min(size - 8, _LARGEST_HEADER):
                raise ValueError("the length of its header is out of range")
            header = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=_unique)
        return _in_order(header, 8 + length, size)
    except (ValueError, RecursionError) as error:
        raise Refused(
            f"this is no sound safetensors file: {error}",
            why="The file is cut off, damaged, or of another format.",
            fix="Restore it from where it was published, or train again.",
            where=where or str(path),
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("its header holds a duplicate key")
    return unique


def _in_order(header: Any, start: int, size: int) -> tuple[Tensor, ...]:
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    tensors = sorted(_tensors(header, start), key=lambda tensor: (tensor.begin, tensor.end))
    place = start
    for tensor in tensors:
        if tensor.begin != place:
            raise ValueError(f"the bytes of {tensor.name!r} overlap others or leave a gap")
        place = tensor.end
    if place != size:
        raise ValueError(f"its tensors end at byte {place}, the file has {size}")
    return tuple(tensors)


def _tensors(header: dict[str, Any], start: int) -> Iterator[Tensor]:
    for name, facts in header.items():
        if name == "__metadata__":
            continue
        try:
            dtype, shape, (begin, end) = facts["dtype"], tuple(facts["shape"]), facts["data_offsets"]
            sound = all(type(number) is int and number >= 0 for number in (*shape, begin, end))
            fits = sound and end - begin == BYTES_OF[dtype] * math.prod(shape)
        except (KeyError, TypeError, ValueError):
            fits = False
        if not fits:
            raise ValueError(f"the entry of {name!r} does not fit its type, shape and place")
        yield Tensor(name, dtype, shape, start + begin, start + end)
