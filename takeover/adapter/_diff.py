"""What differs between two artifacts, as data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from takeover.adapter._config import WEIGHTS
from takeover.adapter._open import Adapter
from takeover.safetensors_header import read_header

__all__ = ["AdapterDiff", "diff_adapters"]


@dataclass(frozen=True)
class AdapterDiff:
    """`fields` maps each differing key of the manifests (nested ones with dots) to (before, after), None for absent.

    `tensors` counts the weights' matrices by what became of them: same, changed, added, removed.
    """

    fields: Mapping[str, tuple[Any, Any]]
    tensors: Mapping[str, int]

    @property
    def same_payload(self) -> bool:
        return "digest" not in self.fields


def diff_adapters(before: Adapter, after: Adapter) -> AdapterDiff:
    """Compare manifests key by key, and weights tensor by tensor (reads both files whole)."""
    old, new = _flat(before.manifest.to_json()), _flat(after.manifest.to_json())
    keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    return AdapterDiff({key: (old.get(key), new.get(key)) for key in keys}, _tensors(before.path, after.path))


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat.update(_flat(item, f"{prefix}{key}.") if isinstance(item, Mapping) else {f"{prefix}{key}": item})
    return flat


def _tensors(before: Path, after: Path) -> dict[str, int]:
    old, new = _tensor_hashes(before / WEIGHTS), _tensor_hashes(after / WEIGHTS)
    both = old.keys() & new.keys()
    same = sum(old[name] == new[name] for name in both)
    return {
        "same": same,
        "changed": len(both) - same,
        "added": len(new.keys() - both),
        "removed": len(old.keys() - both),
    }


def _tensor_hashes(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        hashes = {}
        for tensor in read_header(path):
            file.seek(tensor.begin)
            start = f"{tensor.dtype} {tensor.shape} ".encode()
            hashes[tensor.name] = hashlib.sha256(start + file.read(tensor.end - tensor.begin)).hexdigest()
        return hashes
