"""A request held against botocore's model of a service: types, names, what is required, enums, patterns and bounds.

botocore itself checks types and required fields only; the real service checks all of this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from botocore.model import OperationModel, ServiceModel, Shape
from botocore.session import Session


@cache
def service_model(service: str) -> ServiceModel:
    return Session().get_service_model(service)


def operation(service: str, name: str) -> OperationModel:
    return service_model(service).operation_model(name)


def wrong_in(shape: Shape, value: Any, path: str = "") -> Iterator[str]:
    """Everything that the service would refuse."""
    check = _CHECKS.get(shape.type_name)
    if check is not None:
        yield from check(shape, value, path or shape.name)


def _structure(shape: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path} is no structure"
        return
    yield from (f"{path}.{name} is missing" for name in shape.required_members if name not in value)
    for name, inner in value.items():
        if name not in shape.members:
            yield f"{path}.{name} is unknown"
        else:
            yield from wrong_in(shape.members[name], inner, f"{path}.{name}")


def _list(shape: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path} is no list"
        return
    yield from _bounds(shape, len(value), path)
    for index, inner in enumerate(value):
        yield from wrong_in(shape.member, inner, f"{path}[{index}]")


def _map(shape: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path} is no map"
        return
    yield from _bounds(shape, len(value), path)
    for key, inner in value.items():
        yield from wrong_in(shape.key, key, f"{path} key {key}")
        yield from wrong_in(shape.value, inner, f"{path}.{key}")


def _string(shape: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{path} is no string"
        return
    if shape.enum and value not in shape.enum:
        yield f"{path} is {value}, which is none of its values"
    yield from _bounds(shape, len(value), path)
    pattern = _pattern(shape.metadata.get("pattern", ""))
    if pattern is not None and not pattern.fullmatch(value):
        yield f"{path} is {value}, which is not of the form {pattern.pattern}"


@cache
def _pattern(text: str) -> re.Pattern[str] | None:
    """Java's letters and digits (\\p{L}) in Python's words."""
    plain = text.replace(r"\p{L}", r"\w").replace(r"\p{Z}", r"\s").replace(r"\p{N}", r"\d")
    try:
        return re.compile(plain) if text else None
    except re.error:
        return None


def _number(kind: type) -> Any:
    def check(shape: Any, value: Any, path: str) -> Iterator[str]:
        if isinstance(value, bool) or not isinstance(value, kind if kind is int else (int, float)):
            yield f"{path} is no number"
        else:
            yield from _bounds(shape, value, path)

    return check


def _boolean(shape: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, bool):
        yield f"{path} is no boolean"


def _bounds(shape: Any, value: float, path: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and value < least:
        yield f"{path} is below {least}"
    if most is not None and value > most:
        yield f"{path} is above {most}"


_CHECKS = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "string": _string,
    "integer": _number(int),
    "long": _number(int),
    "float": _number(float),
    "double": _number(float),
    "boolean": _boolean,
}
