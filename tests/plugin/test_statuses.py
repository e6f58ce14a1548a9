"""Failures as the engine gets them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
import pytest
from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from pulumi.runtime.proto import provider_pb2

from plugin.failures import aborted
from plugin.operations import HalfMade
from plugin.wire import to_struct
from takeover.errors import (
    AuthError,
    ColdStart,
    NotReady,
    QuotaError,
    RateLimited,
    Refusals,
    Refused,
    VendorError,
)


class Aborted(Exception):
    pass


class Context:
    """Keeps the status that a call ends with, and raises, as gRPC does."""

    def __init__(self) -> None:
        self.status: Any = None

    def abort_with_status(self, status: Any) -> NoReturn:
        self.status = status
        raise Aborted


def end_with(error: BaseException) -> Any:
    context = Context()
    with pytest.raises(Aborted):
        aborted(context, error)
    return context.status


@dataclass(frozen=True)
class Case:
    id: str
    error: BaseException
    code: grpc.StatusCode
    message: str


CASES = [
    Case(
        "refused",
        Refused("the port is taken", why="By another.", fix="Take another.", where="port"),
        grpc.StatusCode.INVALID_ARGUMENT,
        "Refused: port: the port is taken\n  By another.\n  Take another.",
    ),
    Case(
        "several mistakes",
        Refusals("the stack", [Refused("a"), Refused("b")]),
        grpc.StatusCode.INVALID_ARGUMENT,
        "Refused: the stack: 2 mistakes\n1. a\n2. b",
    ),
    Case("a wrong key", AuthError("no"), grpc.StatusCode.UNAUTHENTICATED, "AuthError: no"),
    Case("no quota", QuotaError("no"), grpc.StatusCode.RESOURCE_EXHAUSTED, "QuotaError: no"),
    Case("too often", RateLimited("no"), grpc.StatusCode.RESOURCE_EXHAUSTED, "RateLimited: no"),
    Case("not ready", NotReady("wait"), grpc.StatusCode.FAILED_PRECONDITION, "NotReady: wait"),
    Case("waking", ColdStart("wait"), grpc.StatusCode.FAILED_PRECONDITION, "ColdStart: wait"),
    Case("the vendor fails", VendorError("it died"), grpc.StatusCode.ABORTED, "VendorError: it died"),
    Case("anything else", ValueError("odd"), grpc.StatusCode.INTERNAL, "ValueError: odd"),
    Case(
        "stopped",
        asyncio.CancelledError(),
        grpc.StatusCode.CANCELLED,
        "stopped before it was done. What exists so far is kept: run `up` again to go on, or `destroy`.",
    ),
    Case(
        "out of time",
        TimeoutError(),
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "not done within the time that customTimeouts gives. What exists so far is kept: run `up` again to go on.",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_error_ends_the_call_with_its_code_and_its_words(case: Case) -> None:
    status = end_with(case.error)
    assert (status.code, status.details) == (case.code, case.message)


def test_what_is_half_made_goes_along_with_the_status() -> None:
    outputs = {"url": "http://x", "healthy": False}
    status = end_with(HalfMade("local/x", outputs, NotReady("wait")))
    [(_, data)] = status.trailing_metadata
    told = provider_pb2.ErrorResourceInitFailed()
    Status.FromString(data).details[0].Unpack(told)
    assert (status.code, told.id, list(told.reasons)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "local/x",
        ["NotReady: wait"],
    )
    assert json_format.MessageToDict(told.properties) == json_format.MessageToDict(to_struct(outputs))
