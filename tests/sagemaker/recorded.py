"""A component made under mocks: what was registered, with everything that an engine would be told."""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc
from pulumi.runtime.stack import run_pulumi_func

__all__ = ["Recorded", "record", "snapshot"]


class _Mocks(mocks.Mocks):
    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        made = {**args.inputs, "arn": f"arn:aws:x:::{args.name}"}
        made.setdefault("name", f"{args.name}-1a2b3c4")
        if args.typ == "aws:s3/bucket:Bucket":
            made.setdefault("bucket", f"{args.name}-1a2b3c4")
        if args.typ == "takeover:index:Endpoint":
            made |= {"url": "https://x/endpoints/y/invocations", "protocol": "sagemaker", "model": "tone"}
        return f"{args.name}-id", made

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        return {"accountId": "123456789012", "arn": "arn:x", "userId": "u", "id": "i"}


@dataclass
class Recorded:
    """Resources in the order they were registered: type, name, inputs, what each waits for, and its flags."""

    resources: list[dict[str, Any]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.resources if each["type"] == kind]


class _Monitor(mocks.MockMonitor):
    def __init__(self, recorded: Recorded) -> None:
        super().__init__(_Mocks())
        self._recorded = recorded

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        entry: dict[str, Any] = {"type": request.type, "name": request.name}
        if request.type != "pulumi:pulumi:Stack":
            entry["inputs"] = _plain(rpc.deserialize_properties(request.object))
            entry["waitsFor"] = sorted({urn.rsplit("::", 1)[1] for urn in request.dependencies})
            entry["flags"] = [
                name
                for name, on in (("protect", request.protect), ("deleteBeforeReplace", request.deleteBeforeReplace))
                if on
            ]
            self._recorded.resources.append(entry)
        return super().RegisterResource(request)


def _plain(value: Any) -> Any:
    """Inputs as they are read: JSON within them parsed, files by their names."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in sorted(value.items()) if inner is not None}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, pulumi.FileAsset):
        return f"file {Path(value.path).name}"
    if isinstance(value, str) and value.startswith(("{", "[")):
        return _plain(json.loads(value))
    return value


def record(make: Callable[[], object], monkeypatch: Any) -> Recorded:
    """What `make` registers, in a loop and a context that end with it."""
    recorded = Recorded()
    monkeypatch.setattr(pulumi.log, "info", recorded.said.append)
    monkeypatch.setattr(pulumi.log, "warn", recorded.warned.append)

    async def run() -> None:
        mocks.set_mocks(_Mocks(), project="takeover", stack="prod", preview=False, monitor=_Monitor(recorded))
        await run_pulumi_func(make)

    contextvars.copy_context().run(asyncio.run, run())
    return recorded


def snapshot(recorded: Recorded) -> str:
    """The resources for a reader: one block each, sorted by name, as YAML."""
    import io

    from ruamel.yaml import YAML

    yaml, text = YAML(), io.StringIO()
    yaml.default_flow_style = False
    yaml.width = 120
    for each in sorted(recorded.resources, key=lambda entry: (entry["type"], entry["name"])):
        block = {key: value for key, value in each.items() if value or key == "inputs"}
        yaml.dump([block], text)
    said = [f"# says: {line}" for line in recorded.said] + [f"# WARNS: {line}" for line in recorded.warned]
    return "\n".join([*said, text.getvalue()])
