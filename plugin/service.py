"""The provider as the engine calls it: names of the gRPC methods, and what each does.

What concerns the resource itself is in `plugin.resource`, which is heavier and imported on first use: the engine
shakes hands meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from plugin.engine_log import EngineLog
from plugin.works import Works

if TYPE_CHECKING:
    from plugin.resource import EndpointResource

__all__ = ["VERSION", "Service", "serve"]

VERSION = "0.1.0"

Call = Callable[[Any, grpc.ServicerContext], Any]


class Service:
    """`takeover`, version `VERSION`: no configuration of its own, and the one resource `takeover:index:Endpoint`."""

    def __init__(self, engine_address: str = "") -> None:
        self.works = Works()
        self._log = EngineLog(engine_address)

    @cached_property
    def resource(self) -> EndpointResource:
        from plugin.resource import EndpointResource

        return EndpointResource(self.works, self._log)

    def preload(self) -> None:
        """Import what the first call on a resource needs, while the engine is still busy with others."""
        _ = self.resource

    def calls(self) -> Mapping[str, Call]:
        """gRPC's method -> what answers it; the rest of the protocol is answered UNIMPLEMENTED."""
        return {
            "Handshake": _handshake,
            "GetPluginInfo": lambda _request, _context: plugin_pb2.PluginInfo(version=VERSION),
            "GetSchema": _schema,
            "CheckConfig": _check_config,
            "DiffConfig": lambda _request, _context: provider_pb2.DiffResponse(
                changes=provider_pb2.DiffResponse.DIFF_NONE
            ),
            "Configure": _configure,
            "Cancel": self._cancel,
            "Check": lambda request, context: self.resource.check(request, context),
            "Diff": lambda request, context: self.resource.diff(request, context),
            "Create": lambda request, context: self.resource.create(request, context),
            "Update": lambda request, context: self.resource.update(request, context),
            "Read": lambda request, context: self.resource.read(request, context),
            "Delete": lambda request, context: self.resource.delete(request, context),
        }

    def _cancel(self, _request: Any, _context: grpc.ServicerContext) -> Any:
        self.works.cancel()
        return empty_pb2.Empty()


def serve(service: Service, server: grpc.Server) -> None:
    """Put the calls into the SDK's own servicer, and that onto the server."""
    servicer = provider_pb2_grpc.ResourceProviderServicer()
    for method, call in service.calls().items():
        setattr(servicer, method, call)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)


def _handshake(_request: Any, _context: grpc.ServicerContext) -> Any:
    return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)


def _configure(_request: Any, _context: grpc.ServicerContext) -> Any:
    return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)


def _check_config(request: Any, _context: grpc.ServicerContext) -> Any:
    """Only the version is kept: the engine hands a provider every key of its namespace, and ours is the project's too.

    `takeover:hosting` and its siblings are settings of the stack, read by the program; in the provider's state they
    would be a second copy.
    """
    version = request.news.fields.get("version")
    inputs = {} if version is None else {"version": version.string_value}
    response = provider_pb2.CheckResponse()
    response.inputs.update(inputs)
    return response


def _schema(_request: Any, _context: grpc.ServicerContext) -> Any:
    from plugin.schema import schema_json

    return provider_pb2.GetSchemaResponse(schema=schema_json(VERSION))
