"""A Pulumi program run without an engine: every resource it registers, with its options, as plain values."""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pulumi
from pulumi.runtime import mocks
from pulumi.runtime.settings import SETTINGS
from pulumi.runtime.stack import run_pulumi_func
from typing_extensions import override

__all__ = ["Recorded", "Run", "as_yaml", "compare", "record"]

# What a cloud adds to the inputs of a resource of that name.
Added = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True)
class Recorded:
    """One resource as the program registers it. `after` are the names of what it waits for, by option or by input."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    provider: str = ""
    protect: bool = False
    after: Sequence[str] = ()
    ignore_changes: Sequence[str] = ()
    timeouts: Mapping[str, str] = field(default_factory=dict)
    secret_outputs: Sequence[str] = ()
    delete_before_replace: bool = False

    @property
    def key(self) -> str:
        return f"{self.type} {self.name}"


@dataclass
class Run:
    """What one run made, said, warned of and exported."""

    made: list[Recorded] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    exported: dict[str, Any] = field(default_factory=dict)

    def of(self, type_: str) -> list[Recorded]:
        return [each for each in self.made if each.type == type_]


class _Monitor(mocks.MockMonitor):
    def __init__(self, answers: _Answers, run: Run) -> None:
        super().__init__(answers)
        self.run = run

    @override
    def RegisterResource(self, request: Any) -> Any:
        if request.type != "pulumi:pulumi:Stack":
            self.run.made.append(_recorded(request))
        return super().RegisterResource(request)


class _Answers(mocks.Mocks):
    def __init__(self, outputs: Mapping[str, Added], calls: Mapping[str, Mapping[str, Any]]) -> None:
        self.outputs = outputs
        self.calls = calls

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        more = self.outputs.get(args.typ, lambda _name, _inputs: {})(args.name, args.inputs)
        return f"{args.name}-id", {"arn": f"arn:of:{args.typ}:{args.name}", **args.inputs, **more}

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        assert args.token in self.calls, f"the program calls {args.token}"
        return dict(self.calls[args.token])


def _recorded(request: Any) -> Recorded:
    from pulumi.runtime import rpc

    timeouts = {key: getattr(request.customTimeouts, key) for key in ("create", "update", "delete")}
    return Recorded(
        type=request.type,
        name=request.name,
        inputs=_plain(rpc.deserialize_properties(request.object)),
        provider=request.provider.split("::")[-2] if request.provider else "",
        protect=request.protect,
        after=sorted({urn.split("::")[-1] for urn in request.dependencies}),
        ignore_changes=list(request.ignoreChanges),
        timeouts={key: value for key, value in timeouts.items() if value},
        secret_outputs=list(request.additionalSecretOutputs),
        delete_before_replace=request.deleteBeforeReplace,
    )


def _plain(value: Any) -> Any:
    """Secrets in square brackets, texts that are JSON objects as such, whole numbers without a fraction."""
    from pulumi.runtime import rpc

    if rpc.is_rpc_secret(value):
        return "[secret]"
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value) if key != "__defaults"}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, str) and value.startswith("{"):
        return _plain(_parsed(value))
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return f"text: {text}"  # a template or a configuration of another kind


def record(
    program: Callable[[], None],
    *,
    stack: str,
    outputs: Mapping[str, Added],
    calls: Mapping[str, Mapping[str, Any]] | None = None,
    preview: bool = False,
) -> Run:
    """Run `program` as the stack `takeover/<stack>`; `outputs` has what AWS would add, by the type's token.

    `calls` has what a look-up (`aws:index/getCallerIdentity:getCallerIdentity`) answers; any other one is an error.
    An error of the program, also one inside of an `apply`, is raised. What was made is sorted by type and name.
    """
    run = Run()

    def export(name: str, value: Any) -> None:
        pulumi.Output.from_input(value).apply(lambda known: run.exported.update({name: known}))

    async def main() -> None:
        # What failed is raised below; that others waited for it in vain is no news.
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        monitor = _Monitor(_Answers(outputs, calls or {}), run)
        mocks.set_mocks(monitor.mocks, project="takeover", stack=stack, preview=preview, monitor=monitor)
        said = patch.object(pulumi.log, "info", lambda text, *_, **__: run.said.append(text))
        warned = patch.object(pulumi.log, "warn", lambda text, *_, **__: run.warned.append(text))
        try:
            with said, warned, patch.object(pulumi, "export", export):
                await run_pulumi_func(program)
        finally:
            # What a failed program leaves would be waited for by the next one, in a loop that is closed.
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            SETTINGS.rpc_manager.clear()
            SETTINGS.outputs.clear()

    contextvars.copy_context().run(asyncio.run, main())
    run.made.sort(key=lambda each: each.key)
    return run


def as_yaml(made: Sequence[Recorded], *, beside: Mapping[str, Any] | None = None) -> str:
    """The resources as text for people; one that is the same in `beside` (a snapshot's own data) has one word."""
    import yaml

    listed = {each.key: _shown(each) for each in made}
    assert len(listed) == len(made), "two resources with one name"
    if beside is not None:
        listed = {key: "as in minimal" if beside.get(key) == value else value for key, value in listed.items()}
    text: str = yaml.dump(listed, Dumper=yaml.CSafeDumper, sort_keys=False, width=118)
    return text


def _shown(each: Recorded) -> dict[str, Any]:
    shown: dict[str, Any] = dict(each.inputs)
    options = {
        "protect": each.protect or None,
        "ignoreChanges": list(each.ignore_changes) or None,
        "timeouts": dict(each.timeouts) or None,
        "secretOutputs": list(each.secret_outputs) or None,
        "deleteBeforeReplace": each.delete_before_replace or None,
        "after": list(each.after) or None,
    }
    return {**shown, **{f"({key})": value for key, value in options.items() if value is not None}}


def compare(found: str, snapshot: Path, *, rewrite: bool) -> None:
    """Compare with the snapshot; `rewrite` writes it instead, for a look at its difference in git."""
    if rewrite:
        snapshot.parent.mkdir(exist_ok=True)
        snapshot.write_text(found, encoding="utf-8")
    assert found == snapshot.read_text(encoding="utf-8")
