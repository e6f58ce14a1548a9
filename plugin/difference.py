"""What an update would change, against what is really there. Pure.

The old side is the resource's outputs: what the last deploy made, or what a refresh found since. So a server that died
or that serves something else shows up here, although no input changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from plugin.wire import Unknown, plain

__all__ = ["Change", "Kind", "difference", "only_models_change"]

# Another one of these is another endpoint: the new one is made first, then the old one removed.
_REPLACING = ("provider", "spec.name", "spec.base")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Kind(StrEnum):
    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True)
class Change:
    """One changed property. `in_inputs` is False for drift: the program says the same as before, the world does not."""

    path: str
    kind: Kind
    in_inputs: bool = True

    @property
    def replaces(self) -> bool:
        return self.path in _REPLACING


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """The changes from the outputs `old` to the inputs `new`; empty when all is as it should be."""
    before, after = plain(old), plain(new)
    changes = list(_changes(before.get("provider"), after.get("provider"), "provider"))
    changes += _changes(before.get("spec"), after.get("spec"), "spec")
    changes += _model_changes(before.get("models"), after.get("models"))
    return changes or list(_drift(before, after))


def only_models_change(changes: Sequence[Change]) -> bool:
    """Whether nothing but adapters is exchanged, on an endpoint that is as it was left."""
    return all(change.path.startswith("models") for change in changes)


def _changes(before: Any, after: Any, path: str) -> Iterator[Change]:
    if isinstance(after, Unknown):
        yield Change(path, Kind.UPDATE)
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            yield from _changes(before.get(name), after.get(name), _below(path, name))
    elif before != after:
        yield Change(path, Kind.ADD if before is None else Kind.DELETE if after is None else Kind.UPDATE)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if _PLAIN_NAME.fullmatch(name) else f'{path}["{name}"]'


def _model_changes(before: Any, after: Any) -> Iterator[Change]:
    """Model by model, in order, because the first is the default one."""
    if isinstance(after, Unknown) or not isinstance(before, list):
        yield from _changes(before, after, "models")
        return
    for index in range(max(len(before), len(after))):
        yield from _changes(_content(before, index), _content(after, index), f"models[{index}]")


def _content(models: Sequence[Any], index: int) -> Any:
    """One model without where it lies: the digest says what it is, and the same content elsewhere is no change."""
    if index >= len(models):
        return None
    model = models[index]
    if not isinstance(model, Mapping):
        return model
    return {name: value for name, value in model.items() if name not in ("path", "source")}


def _drift(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """What a refresh found to be otherwise than it was asked for."""
    wanted = sorted(model["digest"] for model in after["models"])
    if sorted(before.get("digests") or ()) != wanted:
        yield Change("digests", Kind.UPDATE, in_inputs=False)
    if not before.get("healthy"):
        yield Change("healthy", Kind.UPDATE, in_inputs=False)
