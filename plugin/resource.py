"""`takeover:index:Endpoint`: requests of the engine in, its answers out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2

from plugin.difference import Change, Kind, difference
from plugin.engine_log import EngineLog
from plugin.failures import aborted
from plugin.inputs import check
from plugin.operations import Operations
from plugin.outputs import planned
from plugin.wire import from_struct, to_struct
from plugin.works import Works
from takeover.providers._progress import reporting

__all__ = ["EndpointResource"]

T = TypeVar("T")

_KINDS = {
    (Kind.ADD, False): provider_pb2.PropertyDiff.ADD,
    (Kind.ADD, True): provider_pb2.PropertyDiff.ADD_REPLACE,
    (Kind.DELETE, False): provider_pb2.PropertyDiff.DELETE,
    (Kind.DELETE, True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    (Kind.UPDATE, False): provider_pb2.PropertyDiff.UPDATE,
    (Kind.UPDATE, True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


class EndpointResource:
    """The six calls of a resource. A failure becomes a gRPC status whose message is the error's own text."""

    def __init__(self, works: Works, log: EngineLog, operations: Operations | None = None) -> None:
        self._works = works
        self._log = log
        self._operations = operations or Operations()

    def check(self, request: Any, _context: grpc.ServicerContext) -> Any:
        failures = [
            provider_pb2.CheckFailure(property=failure.path, reason=failure.reason)
            for failure in check(from_struct(request.news))
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def diff(self, request: Any, _context: grpc.ServicerContext) -> Any:
        changes = difference(from_struct(request.olds), from_struct(request.news))
        some, none = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=some if changes else none,
            replaces=[change.path for change in changes if change.replaces],
            diffs=_tops(changes),
            detailedDiff={change.path: _property_diff(change) for change in changes},
            hasDetailedDiff=True,
        )

    def create(self, request: Any, context: grpc.ServicerContext) -> Any:
        inputs = from_struct(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=to_struct(planned(inputs, None, [])))
        identity, outputs = self._run(request, context, self._operations.deploy(inputs))
        return provider_pb2.CreateResponse(id=identity, properties=to_struct(outputs))

    def update(self, request: Any, context: grpc.ServicerContext) -> Any:
        inputs = from_struct(request.news)
        if request.preview:
            old = from_struct(request.olds)
            return provider_pb2.UpdateResponse(properties=to_struct(planned(inputs, old, difference(old, inputs))))
        _, outputs = self._run(request, context, self._operations.deploy(inputs))
        return provider_pb2.UpdateResponse(properties=to_struct(outputs))

    def read(self, request: Any, context: grpc.ServicerContext) -> Any:
        inputs = from_struct(request.inputs)
        found = self._run(request, context, self._operations.read(request.id, inputs))
        return provider_pb2.ReadResponse(
            id=found.id, properties=to_struct(found.outputs), inputs=to_struct(found.inputs)
        )

    def delete(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._run(request, context, self._operations.delete(request.id, from_struct(request.properties)))
        return empty_pb2.Empty()

    def _run(self, request: Any, context: grpc.ServicerContext, work: Coroutine[Any, Any, T]) -> T:
        """The work's result, its progress told beside the resource; any failure ends the call."""
        try:
            with reporting(self._listener(request.urn)):
                return self._works.run(work, timeout_s=request.timeout)
        except (Exception, asyncio.CancelledError) as error:
            raise aborted(context, error) from error

    def _listener(self, urn: str) -> Callable[[str, str], None]:
        return lambda _step, sentence: self._log.status(urn, sentence)


def _property_diff(change: Change) -> Any:
    return provider_pb2.PropertyDiff(kind=_KINDS[change.kind, change.replaces], inputDiff=change.in_inputs)


def _tops(changes: Iterable[Change]) -> list[str]:
    """The top-level properties that change, each once."""
    return sorted({change.path.partition(".")[0].partition("[")[0] for change in changes})
