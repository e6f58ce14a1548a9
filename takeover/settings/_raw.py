"""Pulumi's config values, read strictly: one JSON text per key, no key twice, no NaN."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, NoReturn

from takeover.errors import Refused

__all__ = ["NAMESPACE", "WrongSetting", "join", "parse_value", "shown"]

NAMESPACE = "takeover"


class WrongSetting(Refused):
    """One wrong setting. `happened` is a whole sentence that begins with `where`, the key as it stands in the YAML."""

    def __str__(self) -> str:
        return "\n  ".join(part for part in (self.happened, self.why, self.fix) if part)


def join(key: str, *path: str | int) -> str:
    """The YAML key of a value: `takeover:adapters[1].source`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{_printable(part)}" for part in path)
    return f"{NAMESPACE}:{_printable(key)}" + "".join(parts)


def shown(value: Any) -> str:
    """A value as a message shows it: as YAML has it, at most 60 characters.

    Text that looks like another type, or that a terminal would obey, stands in quotes.
    """
    bare = isinstance(value, str) and not _looks_typed(value)
    text = _printable(value) if bare else json.dumps(value, ensure_ascii=not _is_printable(value))
    return text if len(text) <= 60 else text[:57] + "..."


def _printable(text: str) -> str:
    return text if text.isprintable() else json.dumps(text)


def _is_printable(value: Any) -> bool:
    return json.dumps(value, ensure_ascii=False).isprintable()


def _looks_typed(text: str) -> bool:
    """Whether YAML or JSON would read the bare text as something else than text."""
    if not text.strip() or text != text.strip():
        return True
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


class _Pairs(list[tuple[str, Any]]):
    """A JSON object before its keys are checked; a plain dict would keep the last of two equal keys, silently."""


@dataclass(frozen=True)
class _Walk:
    key: str
    mistakes: list[Refused] = field(default_factory=list)

    def plain(self, value: Any, *path: str | int) -> Any:
        if isinstance(value, _Pairs):
            return self._mapping(value, path)
        if isinstance(value, list):
            return [self.plain(item, *path, index) for index, item in enumerate(value)]
        return value

    def _mapping(self, pairs: _Pairs, path: tuple[str | int, ...]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in pairs:
            if name in result:
                where = join(self.key, *path, name)
                self.mistakes.append(WrongSetting(f"{where} is set twice.", fix="Remove one of the two.", where=where))
            result[name] = self.plain(value, *path, name)
        return result


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def parse_value(key: str, text: str) -> tuple[Any, list[Refused]]:
    """The value of one key and what is wrong with its form; text that is no JSON is a plain YAML scalar: itself."""
    try:
        value = json.loads(text, object_pairs_hook=_Pairs, parse_constant=_refuse_constant)
    except ValueError:
        return text, []
    walk = _Walk(key)
    return walk.plain(value), walk.mistakes
