"""What a deployed app says of itself: its tags. They change with the deploy itself, in one step, and reading them wakes
no container.

Modal's rule for a tag's key and value: letters, digits, `.`, `-`, `_`, at most 63 (PyPI modal 1.6.4,
_utils/name_utils.py `check_tag_dict`). A digest has 64 digits, so it stands in two halves.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from takeover.modal_contract import AdapterRef

__all__ = ["Record", "decode", "encode", "kept_after"]

_HALF = 32
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9._-]")
_PREFIX = "takeover"


@dataclass(frozen=True)
class Record:
    """One deployed version. `fingerprint` is of settings and source, `takeover.modal_contract.fingerprint`."""

    adapters: tuple[AdapterRef, ...]
    kept: tuple[AdapterRef, ...] = ()
    largest_rank: int = 0
    min_containers: int = 0
    max_containers: int = 0
    fingerprint: str = ""
    base_mark: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def encode(record: Record) -> dict[str, str]:
    """The record as tags."""
    figures = {
        "rank": str(record.largest_rank),
        "min": str(record.min_containers),
        "max": str(record.max_containers),
        "fingerprint": record.fingerprint,
        "base": record.base_mark,
    }
    tags = {key: _NOT_ALLOWED.sub("-", value)[:63] for key, value in record.labels.items() if value}
    tags |= {f"{_PREFIX}-{name}": value for name, value in figures.items() if value}
    tags |= _encode_adapters("wanted", record.adapters)
    return tags | _encode_adapters("kept", record.kept)


def _encode_adapters(role: str, adapters: Sequence[AdapterRef]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for index, adapter in enumerate(adapters):
        digits = adapter.digest.removeprefix("sha256:")
        start = f"{_PREFIX}-{role}-{index}"
        tags |= {f"{start}-name": adapter.name, f"{start}-a": digits[:_HALF], f"{start}-b": digits[_HALF:]}
    return tags


def decode(tags: Mapping[str, str]) -> Record | None:
    """The record of these tags; None where they are not ours."""
    ours = {key.removeprefix(f"{_PREFIX}-"): value for key, value in tags.items() if key.startswith(f"{_PREFIX}-")}
    adapters = tuple(_decode_adapters("wanted", ours))
    if not adapters:
        return None
    return Record(
        adapters=adapters,
        kept=tuple(_decode_adapters("kept", ours)),
        largest_rank=_number(ours.get("rank")),
        min_containers=_number(ours.get("min")),
        max_containers=_number(ours.get("max")),
        fingerprint=ours.get("fingerprint", ""),
        base_mark=ours.get("base", ""),
        labels={key: value for key, value in tags.items() if not key.startswith(f"{_PREFIX}-")},
    )


def _decode_adapters(role: str, ours: Mapping[str, str]) -> Iterator[AdapterRef]:
    index = 0
    while f"{role}-{index}-name" in ours:
        start = f"{role}-{index}"
        digits = ours.get(f"{start}-a", "") + ours.get(f"{start}-b", "")
        if re.fullmatch(r"[0-9a-f]{64}", digits):
            yield AdapterRef(name=ours[f"{start}-name"], digest=f"sha256:{digits}")
        index += 1


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def kept_after(before: Record | None, wanted: Sequence[AdapterRef], held: Collection[str]) -> tuple[AdapterRef, ...]:
    """Which adapters stay for one more version: those that the version before wanted and this one does not.

    Where this one wants just the same (a retry, another setting), what was kept stays kept. `held` are the digests that
    the volume has; what it lost cannot be served.
    """
    if before is None:
        return ()
    digests = [adapter.digest for adapter in wanted]
    same = [adapter.digest for adapter in before.adapters] == digests
    candidates = before.kept if same else before.adapters
    return tuple(adapter for adapter in candidates if adapter.digest not in digests and adapter.digest in held)
