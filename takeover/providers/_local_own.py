"""A local endpoint whose server is started here: serving/local, or vLLM."""

from __future__ import annotations

import asyncio
import os
import sys
import time
import zlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from pydantic import SecretStr

from takeover.errors import Refused
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.providers._local_adapters import serve_exactly
from takeover.providers._local_engines import Launch, build_takeover_launch, build_vllm_launch, server_command
from takeover.providers._local_server import ensure_running, is_free, require_free_port, running
from takeover.providers._local_state import EndpointFolder, Record, ServerFile
from takeover.providers._openai import Server
from takeover.providers._progress import progress
from takeover.settings import LocalOptions

__all__ = ["deploy"]

# Below the ports that systems give to outgoing connections (Linux from 32768, macOS from 49152).
_LOWEST_PORT = 20_000
_PORTS = 12_000


async def deploy(
    folder: EndpointFolder,
    models: tuple[TrainedModel, ...],
    spec: EndpointSpec,
    options: LocalOptions,
    *,
    command: Sequence[str] | None,
) -> None:
    """Make the folder's one server run with these options and serve exactly `models`. The caller holds the lock.

    The record is written first, so that whatever a crash leaves is found again under its name.
    """
    require_free_port(options.port, running(folder), folder.server())
    before = folder.record()
    record = Record(spec=spec, models=models)
    if before is not None:
        record = record.model_copy(update={"root": before.root, "started_ms": before.started_ms})
    folder.write_record(record)
    progress("record", f"{spec.name} is noted")
    launch, written_for_it = await _launch(folder, models, spec, options, command)
    server, is_new = await ensure_running(
        folder,
        launch,
        drain_s=options.drain_seconds,
        timeout_s=options.start_timeout_seconds,
        written_for_it=written_for_it,
    )
    if written_for_it is not None and is_new:
        server = _ready_now(folder, server)
    progress("ready", f"the server of {spec.name} answers at {server.root}")
    folder.write_record(record.model_copy(update={"root": server.root, "started_ms": server.started_ms}))
    await serve_exactly(
        Server(server.root, folder.key()),
        models,
        ask_all=is_new,
        drain_s=options.drain_seconds if options.engine == "takeover" else None,
    )


async def _launch(
    folder: EndpointFolder,
    models: tuple[TrainedModel, ...],
    spec: EndpointSpec,
    options: LocalOptions,
    command: Sequence[str] | None,
) -> tuple[Launch, ServerFile | None]:
    """The command, and for a server that writes no `server.json` the one to write in its place."""
    live = folder.server() if running(folder) else None
    port = options.port or (live.port if live else _free_port(folder))
    if options.engine == "takeover":
        server = command or server_command(os.environ.get("TAKEOVER_LOCAL_SERVER"))
        return build_takeover_launch(server, folder.path, port, models, spec, options), None
    python = _python_with_vllm()
    base_path = await asyncio.to_thread(_materialised, spec.base)
    launch = build_vllm_launch(python, base_path, port, models, spec, options, folder.key() or SecretStr(""))
    url = f"http://127.0.0.1:{port}"
    written = ServerFile(pid=0, start_time=0, host="127.0.0.1", port=port, url=url, base=spec.base, state="loading")
    return launch, written


def _ready_now(folder: EndpointFolder, server: ServerFile) -> ServerFile:
    """Note that a server which writes no file itself is ready, and how long that took."""
    took_ms = int((time.time() - server.start_time) * 1000)
    ready = server.model_copy(update={"state": "ready", "started_ms": took_ms})
    folder.write_server(ready)
    return ready


def _python_with_vllm() -> str:
    named = os.environ.get("LOCAL_ENGINE_PYTHON")
    if named is None and find_spec("vllm") is None:
        raise Refused(
            "vLLM is not installed in the project's environment",
            why="Its torch is another one than the trainer's, so it lives in an environment of its own.",
            fix="Set LOCAL_ENGINE_PYTHON to that environment's python, or set takeover:local.engine to takeover.",
            where="takeover:local.engine",
        )
    return named or sys.executable


def _free_port(folder: EndpointFolder) -> int:
    """The first free port from the one that is this endpoint's: a server that comes back has its old address."""
    first = zlib.crc32(str(folder.path).encode()) % _PORTS
    return next(port for step in range(_PORTS) if is_free(port := _LOWEST_PORT + (first + step) % _PORTS))


def _materialised(base: str) -> Path:
    from takeover.bases import parse_base
    from takeover.bases.materialise import materialise

    return materialise(parse_base(base), say=lambda sentence: progress("base", sentence)).path
