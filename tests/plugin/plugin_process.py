"""The plugin as the engine runs it: a process that tells its port and speaks gRPC."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

EXECUTABLE = Path(__file__).parents[2] / "plugin" / "pulumi-resource-takeover"


class PluginProcess:
    """Started in a folder that has nothing to do with the project, as `cwd` may be anything."""

    def __init__(self, cwd: Path, environment: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [str(EXECUTABLE), "--logtostderr", "-v=3", "127.0.0.1:9"],
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = self.process.stdout.readline().strip()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")
        self.stub: Any = provider_pb2_grpc.ResourceProviderStub(self.channel)

    def close(self) -> None:
        self.channel.close()
        self.process.kill()
        self.process.communicate()
