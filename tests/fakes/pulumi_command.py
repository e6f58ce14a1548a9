"""A stand-in for pulumi-command's plugin: `command:local:Command` and nothing else, as the real one does it.

Read from pulumi/pulumi-command v1.2.1 (provider/pkg/provider/local) and pulumi-go-provider v1.5.0 (infer/resource.go),
2026-11: what a failed create keeps (nothing), what a read finds (what the state says), what a preview knows, in which
environment commands run. Where the real plugin is on PATH the tests run that one.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from plugin.engine_log import EngineLog
from plugin.wire import UNKNOWN, Unknown, from_struct, plain, to_struct

VERSION = "1.2.1"
TYPE = "command:local:Command"
INPUTS = frozenset(
    {
        "addPreviousOutputInEnv",
        "archivePaths",
        "assetPaths",
        "create",
        "delete",
        "dir",
        "environment",
        "interpreter",
        "logging",
        "stdin",
        "triggers",
        "update",
    }
)
SHELL = ["/bin/sh", "-c"]
_ADD, _DELETE, _UPDATE = (
    provider_pb2.PropertyDiff.ADD,
    provider_pb2.PropertyDiff.DELETE,
    provider_pb2.PropertyDiff.UPDATE,
)
_REPLACING = {_ADD: provider_pb2.PropertyDiff.ADD_REPLACE, _DELETE: provider_pb2.PropertyDiff.DELETE_REPLACE}


class Failed(Exception):
    """The command ended with another code than 0; the text is what the engine shows."""


class Commands:
    """Runs commands; what they print goes to the engine line by line, as long as `logging` says so."""

    def __init__(self, log: EngineLog) -> None:
        self._log = log
        self._running: set[subprocess.Popen[str]] = set()

    def run(self, urn: str, command: str, state: Mapping[str, Any]) -> dict[str, str]:
        """stdout and stderr, without the last line's end. `state` has the inputs, and the outputs of the run before."""
        words = [*(state.get("interpreter") or SHELL), command]
        process = subprocess.Popen(
            words,
            cwd=state.get("dir"),
            env=_environment(state),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._running.add(process)
        logged = state.get("logging") or "stdoutAndStderr"
        both: list[str] = []
        with ThreadPoolExecutor(2) as readers:
            out = readers.submit(self._read, urn, process.stdout, both, logged in {"stdout", "stdoutAndStderr"})
            err = readers.submit(self._read, urn, process.stderr, both, logged in {"stderr", "stdoutAndStderr"})
            _feed(process, state.get("stdin") or "")
        code = process.wait()
        self._running.discard(process)
        if code != 0:
            status = f"signal: {signal.Signals(-code).name.lower()[3:]}ed" if code < 0 else f"exit status {code}"
            raise Failed(f"{status}: running {json.dumps(command)}:\n{''.join(both)}")
        return {"stdout": out.result().removesuffix("\n"), "stderr": err.result().removesuffix("\n")}

    def _read(self, urn: str, stream: Any, both: list[str], is_logged: bool) -> str:
        lines = []
        for line in stream:
            lines.append(line)
            both.append(line)
            if is_logged:
                self._log.status(urn, line.rstrip("\n"))
        return "".join(lines)

    def cancel(self) -> None:
        for process in tuple(self._running):
            process.kill()


def _feed(process: subprocess.Popen[str], text: str) -> None:
    """Give it its stdin; one that does not read to the end is no error."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.write(text)
        process.stdin.flush()
    with suppress(BrokenPipeError):
        process.stdin.close()


def _environment(state: Mapping[str, Any]) -> dict[str, str]:
    environment = {**os.environ, **(state.get("environment") or {})}
    if state.get("addPreviousOutputInEnv") in (None, True):
        for name, variable in (("stdout", "PULUMI_COMMAND_STDOUT"), ("stderr", "PULUMI_COMMAND_STDERR")):
            if state.get(name):
                environment[variable] = state[name]
    return environment


class Service:
    """The calls of the protocol."""

    def __init__(self, log: EngineLog) -> None:
        self._commands = Commands(log)

    def handshake(self, _request: Any, _context: grpc.ServicerContext) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True, accept_outputs=True)

    def get_plugin_info(self, _request: Any, _context: grpc.ServicerContext) -> Any:
        return plugin_pb2.PluginInfo(version=VERSION)

    def get_schema(self, _request: Any, _context: grpc.ServicerContext) -> Any:
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": "command", "version": VERSION}))

    def check_config(self, request: Any, _context: grpc.ServicerContext) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def diff_config(self, _request: Any, _context: grpc.ServicerContext) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def configure(self, _request: Any, _context: grpc.ServicerContext) -> Any:
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, acceptResources=True, acceptOutputs=True
        )

    def cancel(self, _request: Any, _context: grpc.ServicerContext) -> Any:
        self._commands.cancel()
        return empty_pb2.Empty()

    def check(self, request: Any, context: grpc.ServicerContext) -> Any:
        if f"::{TYPE}::" not in request.urn and f"${TYPE}::" not in request.urn:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"this stand-in has {TYPE} only")
        unknown = sorted(set(from_struct(request.news)) - INPUTS - {"__defaults"})
        failures = [provider_pb2.CheckFailure(property=name, reason="no such input") for name in unknown]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def diff(self, request: Any, _context: grpc.ServicerContext) -> Any:
        changes = dict(difference(inputs_of(request.old_inputs), inputs_of(request.news)))
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if changes else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=sorted({path.partition(".")[0].partition("[")[0] for path in changes}),
            # Only the list as a whole is marked here; the SDK asks the engine to replace for its items (`triggers[*]`).
            replaces=["triggers"] if "triggers" in changes else [],
            detailedDiff={path: provider_pb2.PropertyDiff(kind=kind) for path, kind in changes.items()},
            hasDetailedDiff=True,
        )

    def create(self, request: Any, context: grpc.ServicerContext) -> Any:
        inputs = from_struct(request.properties)
        identity = f"{request.urn.rpartition('::')[2]}{secrets.token_hex(4)}"
        if request.preview:
            state = {**inputs, "stdout": UNKNOWN, "stderr": UNKNOWN}
        else:
            state = {**inputs, **self._run(request.urn, context, inputs.get("create"), inputs)}
        return provider_pb2.CreateResponse(id=identity, properties=to_struct(state))

    def update(self, request: Any, context: grpc.ServicerContext) -> Any:
        inputs, old = from_struct(request.news), from_struct(request.olds)
        before = {name: old.get(name, "") for name in ("stdout", "stderr")}
        if request.preview:
            state = {**inputs, "stdout": UNKNOWN, "stderr": UNKNOWN}
        else:
            command = inputs.get("update") or inputs.get("create")
            state = {**inputs, **self._run(request.urn, context, command, {**inputs, **before}, before)}
        return provider_pb2.UpdateResponse(properties=to_struct(state))

    def read(self, request: Any, _context: grpc.ServicerContext) -> Any:
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    def delete(self, request: Any, context: grpc.ServicerContext) -> Any:
        state = from_struct(request.properties)
        self._run(request.urn, context, state.get("delete"), state)
        return empty_pb2.Empty()

    def _run(
        self,
        urn: str,
        context: grpc.ServicerContext,
        command: Any,
        state: Mapping[str, Any],
        otherwise: Mapping[str, str] | None = None,
    ) -> Mapping[str, str]:
        if command is None:
            return otherwise or {"stdout": "", "stderr": ""}
        try:
            return self._commands.run(urn, plain(command), plain(state))
        except (Failed, OSError) as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))


def inputs_of(struct: Any) -> dict[str, Any]:
    found = plain(from_struct(struct))
    return {name: value for name, value in found.items() if name != "version" and not name.startswith("__")}


def difference(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """What changes from one set of inputs to another, by the engine's paths."""
    if isinstance(new, Unknown):
        yield path, _UPDATE
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({*old, *new}):
            yield from difference(old.get(name), new.get(name), f"{path}.{name}" if path else name)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            yield from difference(_at(old, index), _at(new, index), f"{path}[{index}]")
    elif old != new:
        kind = _ADD if old is None else _DELETE if new is None else _UPDATE
        yield path, _REPLACING.get(kind, kind) if path == "triggers" else kind


def _at(values: list[Any], index: int) -> Any:
    return values[index] if index < len(values) else None


def main() -> None:
    """Tell the port, and serve until the engine goes."""
    engine, done = os.getppid(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    addresses = [word for word in sys.argv[1:] if not word.startswith("-")]
    service = Service(EngineLog(addresses[0] if addresses else ""))
    servicer = provider_pb2_grpc.ResourceProviderServicer()
    names = {
        "Handshake": service.handshake,
        "GetPluginInfo": service.get_plugin_info,
        "GetSchema": service.get_schema,
        "CheckConfig": service.check_config,
        "DiffConfig": service.diff_config,
        "Configure": service.configure,
        "Cancel": service.cancel,
        "Check": service.check,
        "Diff": service.diff,
        "Create": service.create,
        "Update": service.update,
        "Read": service.read,
        "Delete": service.delete,
    }
    for name, call in names.items():
        setattr(servicer, name, call)
    server = grpc.server(ThreadPoolExecutor(max_workers=16))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while os.getppid() == engine and not done.wait(0.5):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
