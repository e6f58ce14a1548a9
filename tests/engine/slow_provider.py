"""A provider for the tests: its one resource is a file in `$SLOW_DESK`, made as slowly and as badly as the test asks.

`hold` in the desk: a create waits until it is gone. `fail`: a create fails with its text. As a good provider does, it
is idempotent by name, and it ends with the engine that started it.
"""
# ruff: noqa: N802 - the names are those of the engine's gRPC service

from __future__ import annotations

import os
import sys
import time
from concurrent import futures
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

DESK = Path(os.environ["SLOW_DESK"])
PARENT = os.getppid()


class Slow(provider_pb2_grpc.ResourceProviderServicer):
    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="0.1.0")

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse()

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse()

    def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Check(self, request: Any, context: Any) -> Any:
        failures = [provider_pb2.CheckFailure(property="size", reason="it is below zero")] * (request.news["size"] < 0)
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        same = request.news == request.olds
        return provider_pb2.DiffResponse(changes=1 if same else 2, diffs=[] if same else ["size"])

    def Create(self, request: Any, context: Any) -> Any:
        name = request.urn.rpartition("::")[2]
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        (DESK / "creating").touch()
        while (DESK / "hold").exists() and os.getppid() == PARENT:
            time.sleep(0.02)
        if (DESK / "fail").exists():
            context.abort(grpc.StatusCode.UNKNOWN, (DESK / "fail").read_text())
        (DESK / f"{name}.thing").touch()
        return provider_pb2.CreateResponse(id=name, properties=request.properties)

    def Update(self, request: Any, context: Any) -> Any:
        return provider_pb2.UpdateResponse(properties=request.news)

    def Read(self, request: Any, context: Any) -> Any:
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    def Delete(self, request: Any, context: Any) -> Any:
        (DESK / f"{request.id}.thing").unlink(missing_ok=True)
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()


def main() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Slow(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    # SIGINT is how the engine says good-bye.
    with suppress(KeyboardInterrupt):
        while os.getppid() == PARENT:
            time.sleep(0.1)


if __name__ == "__main__":
    main()
