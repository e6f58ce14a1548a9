"""A stand-in for Pulumi's Python language host, which no registry has: it runs the project's `__main__.py`.

The engine starts it as `pulumi-language-python` from PATH, reads its port and asks it to run the program; that is the
door of plain `pulumi`, where nothing of this project's driver takes part.
"""
# ruff: noqa: N802 - the names are those of the engine's gRPC service

from __future__ import annotations

import os
import runpy
import sys
import time
from concurrent import futures
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2_grpc, plugin_pb2

PARENT = os.getppid()


class Host(LanguageServer):
    def __init__(self) -> None:
        super().__init__(lambda: None)

    def Handshake(self, request: Any, context: Any) -> Any:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "as hosts before it")

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="3.0.0")

    def Run(self, request: Any, context: Any) -> Any:
        main = Path(request.info.program_directory or request.pwd) / "__main__.py"
        sys.path.insert(0, str(main.parent))
        self.program = lambda: runpy.run_path(str(main), run_name="__main__") and None
        return super().Run(request, context)


def main() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Host(), server)
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
