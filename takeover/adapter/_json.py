"""JSON read strictly and written in one way only, so that equal data have equal bytes."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from takeover.errors import Refused

__all__ = ["parse_object", "render"]


def render(value: Any) -> str:
    """The one text of `value`: keys sorted, two spaces, UTF-8 as it is, a line break at the end."""
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def parse_object(data: bytes, where: str) -> dict[str, Any]:
    """The object that `data` holds; Refused (named `where`) for broken JSON, a key given twice, NaN, or no object."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused("this is not valid JSON", why=f"{error}.", fix="Restore the file.", where=where) from error
    if not isinstance(value, dict):
        raise Refused("this is no JSON object", fix="Restore the file.", where=where)
    return value


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = sorted(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
    if twice:
        raise ValueError(f"duplicate key {', '.join(map(repr, twice))}")
    return dict(pairs)


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no JSON number")
