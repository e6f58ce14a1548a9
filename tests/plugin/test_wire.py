"""Properties between the engine's form and plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as some
from pulumi.runtime import rpc

from plugin.wire import UNKNOWN, Secret, from_struct, has_unknown, plain, to_struct

SIGNATURE = "4dabf18193072939515e22adb298388d"


def struct(value: dict[str, Any]) -> Struct:
    return json_format.ParseDict(value, Struct())


@dataclass(frozen=True)
class Case:
    id: str
    sent: Any
    read: Any


CASES = [
    Case("a text", "tiny", "tiny"),
    Case("a whole number is an int", 8, 8),
    Case("another number is a float", 0.5, 0.5),
    Case("a truth", True, True),
    Case("nothing", None, None),
    Case("a list of objects", [{"a": [1]}, {}], [{"a": [1]}, {}]),
    Case("an unknown text", rpc.UNKNOWN, UNKNOWN),
    Case("an unknown object", "dd056dcd-154b-4c76-9bd3-c8f88648b5ff", UNKNOWN),
    Case("a secret", {SIGNATURE: rpc._special_secret_sig, "value": {"a": 1}}, Secret({"a": 1})),
    Case("an output without a value", {SIGNATURE: rpc._special_output_value_sig}, UNKNOWN),
    Case("an output", {SIGNATURE: rpc._special_output_value_sig, "value": 1}, 1),
    Case("a secret output", {SIGNATURE: rpc._special_output_value_sig, "value": 1, "secret": True}, Secret(1)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_the_engine_sends_is_read_as_what_it_means(case: Case) -> None:
    assert from_struct(struct({"it": case.sent})) == {"it": case.read}


def test_a_secret_and_an_unknown_are_written_as_the_sdk_reads_them() -> None:
    written = rpc.deserialize_properties(to_struct({"key": Secret("k"), "url": UNKNOWN}), keep_unknowns=True)
    assert rpc.is_rpc_secret(written["key"])
    assert rpc.unwrap_rpc_secret(written["key"]) == "k"
    assert type(written["url"]).__name__ == "Unknown"


def test_the_marks_are_the_sdk_s() -> None:
    assert json_format.MessageToDict(to_struct({"it": Secret(1)})) == {
        "it": {rpc._special_sig_key: rpc._special_secret_sig, "value": 1.0}
    }
    assert json_format.MessageToDict(to_struct({"it": UNKNOWN})) == {"it": rpc.UNKNOWN}


VALUES = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**53), 2**53) | some.text() | some.just(UNKNOWN),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner) | some.builds(Secret, inner),
    max_leaves=10,
)


@given(some.dictionaries(some.text(), VALUES))
def test_every_value_comes_back_as_it_was(properties: dict[str, Any]) -> None:
    assert from_struct(to_struct(properties)) == properties


def test_a_secret_is_in_no_repr() -> None:
    assert "hush" not in repr(Secret("hush"))


@dataclass(frozen=True)
class Depth:
    id: str
    value: Any
    plain: Any
    has_unknown: bool


DEPTHS = [
    Depth("nothing special", {"a": [1, "b"]}, {"a": [1, "b"]}, False),
    Depth("a secret in a list in an object", {"a": [Secret("b")]}, {"a": ["b"]}, False),
    Depth("a secret in a secret", Secret({"a": Secret(1)}), {"a": 1}, False),
    Depth("an unknown in a secret in a list", [Secret({"a": UNKNOWN})], [{"a": UNKNOWN}], True),
    Depth("an unknown by itself", UNKNOWN, UNKNOWN, True),
]


@pytest.mark.parametrize("depth", DEPTHS, ids=lambda depth: depth.id)
def test_marks_are_found_at_every_depth(depth: Depth) -> None:
    assert (plain(depth.value), has_unknown(depth.value)) == (depth.plain, depth.has_unknown)
