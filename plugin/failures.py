"""Failures as the engine understands them: a gRPC status, and for what is half-made the state to keep."""

from __future__ import annotations

import asyncio

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from pulumi.runtime.proto import provider_pb2

from plugin.operations import HalfMade
from plugin.wire import to_struct
from takeover.errors import AuthError, NotReady, QuotaError, RateLimited, Refused, TakeoverError

__all__ = ["aborted", "code_of", "message_of"]

# INTERNAL, UNKNOWN and DATA_LOSS would make the engine doubt the resource's state; UNAVAILABLE it may try again itself.
_CODES: tuple[tuple[type[BaseException], grpc.StatusCode], ...] = (
    (Refused, grpc.StatusCode.INVALID_ARGUMENT),
    (AuthError, grpc.StatusCode.UNAUTHENTICATED),
    (QuotaError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (RateLimited, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (NotReady, grpc.StatusCode.FAILED_PRECONDITION),
    (TakeoverError, grpc.StatusCode.ABORTED),
    (asyncio.CancelledError, grpc.StatusCode.CANCELLED),
    (TimeoutError, grpc.StatusCode.DEADLINE_EXCEEDED),
)


def message_of(error: BaseException) -> str:
    """What a person reads, after the error's name: the command line makes the same error of it again.

    Ours say it themselves; of others only their own words.
    """
    if isinstance(error, HalfMade):
        return message_of(error.cause)
    if isinstance(error, Refused):
        return f"Refused: {error}"
    if isinstance(error, asyncio.CancelledError):
        return "stopped before it was done. What exists so far is kept: run `up` again to go on, or `destroy`."
    if isinstance(error, TimeoutError):
        return (
            "not done within the time that customTimeouts gives. What exists so far is kept: run `up` again to go on."
        )
    return f"{type(error).__name__}: {error}"


def code_of(error: BaseException) -> grpc.StatusCode:
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return grpc.StatusCode.INTERNAL


def aborted(context: grpc.ServicerContext, error: BaseException) -> Exception:
    """End the call with the status of `error`; for HalfMade with the id and the outputs that the engine must keep.

    gRPC raises an exception of its own to end the call, so nothing is returned but in the eyes of a type checker.
    """
    cause = error.cause if isinstance(error, HalfMade) else error
    status = Status(code=code_of(cause).value[0], message=message_of(error))
    if isinstance(error, HalfMade):
        details = AnyMessage()
        details.Pack(
            provider_pb2.ErrorResourceInitFailed(
                id=error.id, properties=to_struct(error.outputs), reasons=[message_of(error)]
            )
        )
        status.details.append(details)
    context.abort_with_status(rpc_status.to_status(status))
    return AssertionError("abort_with_status has raised")
