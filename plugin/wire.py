"""Properties as the engine sends them, and as plain values. Pure.

Beside JSON's values there are two: `UNKNOWN` (a preview does not know it yet) and `Secret`. The engine marks both in
JSON (pulumi/pulumi sdk/go/common/resource/sig/sig.go, v3.274.1). Numbers arrive as floats; whole ones become ints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.struct_pb2 import ListValue, Struct, Value

__all__ = ["UNKNOWN", "Secret", "Unknown", "from_struct", "has_unknown", "plain", "to_struct"]

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_CONCEALED = "1b47061264138c4ac30d75fd1eb44270"
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_UNKNOWN_STRING = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS = frozenset(
    {
        _UNKNOWN_STRING,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)


class Unknown:
    """The type of `UNKNOWN`, a value that only an up will know."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that the engine encrypts in its state and hides on the screen."""

    value: Any = field(repr=False)


def from_struct(struct: Struct) -> dict[str, Any]:
    """The engine's properties as plain values, `UNKNOWN` and `Secret`."""
    return {name: _read(value) for name, value in struct.fields.items()}


def _read(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value in _UNKNOWNS else value.string_value
    if kind == "number_value":
        return int(value.number_value) if value.number_value.is_integer() else value.number_value
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [_read(item) for item in value.list_value.values]
    if kind == "struct_value":
        return _read_object(from_struct(value.struct_value))
    return None


def _read_object(fields: dict[str, Any]) -> Any:
    signature = fields.get(_SIGNATURE)
    if signature == _CONCEALED:
        return Secret(fields.get("value"))
    if signature == _OUTPUT:
        value = fields.get("value", UNKNOWN)
        return Secret(value) if fields.get("secret") else value
    return fields


def to_struct(properties: Mapping[str, Any]) -> Struct:
    """The same for the engine."""
    return Struct(fields={name: _write(value) for name, value in properties.items()})


def _write(value: Any) -> Value:
    if value is None:
        return Value(null_value=0)
    if isinstance(value, Unknown):
        return Value(string_value=_UNKNOWN_STRING)
    if isinstance(value, Secret):
        return Value(struct_value=to_struct({_SIGNATURE: _CONCEALED, "value": value.value}))
    if isinstance(value, bool):
        return Value(bool_value=value)
    if isinstance(value, int | float):
        return Value(number_value=value)
    if isinstance(value, str):
        return Value(string_value=value)
    if isinstance(value, Mapping):
        return Value(struct_value=to_struct(value))
    return Value(list_value=ListValue(values=[_write(item) for item in value]))


def plain(value: Any) -> Any:
    """The value without its marks of secrecy, at every depth."""
    if isinstance(value, Secret):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def has_unknown(value: Any) -> bool:
    """Whether anything in it is unknown, at any depth."""
    if isinstance(value, Secret):
        return has_unknown(value.value)
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return isinstance(value, Unknown)
