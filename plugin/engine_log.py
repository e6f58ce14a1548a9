"""Words for the person at the terminal, through the engine that started us."""

from __future__ import annotations

from contextlib import suppress

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

__all__ = ["EngineLog"]

_PATIENCE_S = 5.0


class EngineLog:
    """Sends status lines to the engine at `address` (`127.0.0.1:port`); without an address it says nothing."""

    def __init__(self, address: str) -> None:
        self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address)) if address else None

    def status(self, urn: str, sentence: str) -> None:
        """What a resource is doing right now: shown beside it while it lasts, kept in no log."""
        if self._engine is None:
            return
        request = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=sentence, urn=urn, ephemeral=True)
        with suppress(grpc.RpcError):  # words are worth no failure
            self._engine.Log(request, timeout=_PATIENCE_S)
