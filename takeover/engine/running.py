"""An endpoint that was put up before, as its provider sees it: found by a stack's state or by an outputs file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from takeover.engine import _desk
from takeover.engine.engineless import name_for, provider_of
from takeover.engine.project import open_project
from takeover.engine.state import NotUp, read_state
from takeover.errors import NotReady, Refused
from takeover.outputs import outputs_from_file
from takeover.providers import provider_for
from takeover.providers._base import (
    Described,
    Endpoint,
    EndpointSpec,
    InferenceMetrics,
    InferenceProvider,
    Knowing,
    TrainedModel,
)

__all__ = ["ENDPOINT_TYPE", "Running", "endpoint_inputs", "figures", "inspect", "of_outputs", "of_stack", "scale"]

# The resource of the native provider (plugin/); a component that has none registers the same as its own outputs.
ENDPOINT_TYPE = "takeover:index:Endpoint"
_COMPONENTS = "takeover:hosting:"


@dataclass(frozen=True)
class Running:
    """`whose` says in words where it is known from; `fix` is the command that puts it up again."""

    whose: str
    name: str
    provider: InferenceProvider
    fix: str


def endpoint_inputs(state: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """`provider`, `models` and `spec` of the endpoints in a state, but for those only waiting to be deleted."""
    for resource in state.get("resources") or ():
        if resource.get("delete"):
            continue
        if resource.get("type") == ENDPOINT_TYPE:
            yield resource.get("inputs") or {}
        elif str(resource.get("type")).startswith(_COMPONENTS) and "spec" in (resource.get("outputs") or {}):
            yield resource["outputs"]


def of_stack(stack: str) -> Running:
    """The endpoint in a stack's state; Refused where the stack is not up."""
    found = next(endpoint_inputs(read_state(open_project(), stack)), None)
    if found is None:
        raise NotUp(stack)
    spec = EndpointSpec.model_validate(found["spec"])
    models = tuple(TrainedModel.model_validate(model) for model in found["models"])
    provider = provider_for(str(found["provider"]), spec.cluster or None)
    if isinstance(provider, Knowing):
        provider = provider.knowing(models, spec)
    return Running(f"the stack {stack}", spec.name, provider, f"takeover up --stack {stack}")


def of_outputs(outputs: Path) -> Running:
    """The endpoint that an outputs file of `takeover deploy` stands for; Refused where there is no such file."""
    name = name_for(outputs)
    entry = _desk.noted(name)
    provider = provider_of(entry, None if entry is not None else outputs_from_file(outputs))
    return Running(str(outputs), name, provider, f"takeover deploy --outputs {outputs} ...")


def figures(running: Running) -> InferenceMetrics:
    """What the vendor counts; NotReady where nothing answers."""

    async def ask() -> InferenceMetrics:
        return await running.provider.get_metrics(await _found(running))

    return asyncio.run(ask())


def scale(running: Running, replicas: int) -> None:
    """Ask for so many replicas; Refused, in the tier's words, outside of what it can do."""

    async def ask() -> None:
        await running.provider.scale(await _found(running), replicas)

    if replicas < 0:
        raise Refused(f"{replicas} replicas cannot be", fix="Ask for 0 or more.")
    asyncio.run(ask())


def inspect(running: Running) -> Described | None:
    """What is really served; None where the endpoint is gone."""

    async def ask() -> Described | None:
        endpoint = await running.provider.find(running.name)
        return None if endpoint is None else await running.provider.describe(endpoint)

    return asyncio.run(ask())


async def _found(running: Running) -> Endpoint:
    endpoint = await running.provider.find(running.name)
    if endpoint is None:
        raise NotReady(
            f"{running.whose} has no endpoint any more", why=f"{running.name} is gone.", fix=f"{running.fix} makes it."
        )
    return endpoint
