"""What the resource's calls do: everything that reaches the world goes through the tier's `InferenceProvider`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from plugin.inputs import INPUTS, Desired, inputs_of, parse
from plugin.outputs import deployed, described, imported, split_id
from takeover.errors import TakeoverError
from takeover.providers import provider_for
from takeover.providers._base import Endpoint, InferenceProvider, Knowing, Remembers

__all__ = ["HalfMade", "Operations", "ReadResult"]

# How long to look at what a failed deploy left; the engine waits meanwhile.
_LOOK_S = 20.0


class HalfMade(Exception):
    """It failed, and something exists: the engine must keep `id` and `outputs`, and try again next time."""

    def __init__(self, identity: str, outputs: Mapping[str, Any], cause: BaseException) -> None:
        super().__init__(str(cause))
        self.id = identity
        self.outputs = outputs
        self.cause = cause


@dataclass(frozen=True)
class ReadResult:
    """What a refresh found; nothing at all is `id` ""."""

    id: str
    outputs: Mapping[str, Any]
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class Operations:
    """Create, read, update and delete. `provider_of` finds a tier's provider by name."""

    provider_of: Callable[[str], InferenceProvider] = provider_for

    async def deploy(self, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Create and Update are one: `InferenceProvider.deploy` is idempotent by name. Returns id and outputs.

        HalfMade when it failed (also by being cancelled) and the endpoint exists all the same.
        """
        desired = parse(inputs)
        provider = self.provider_of(desired.provider)
        try:
            endpoint = await provider.deploy(desired.models, desired.spec)
        except (Exception, asyncio.CancelledError) as error:
            left = await _left_by(provider, desired, inputs)
            if left is None:
                raise
            raise HalfMade(desired.id, left, error) from error
        return desired.id, deployed(inputs, endpoint)

    async def read(self, identity: str, inputs: Mapping[str, Any]) -> ReadResult:
        """What is there; `inputs` are empty for an import, which takes what was asked for, or what is there."""
        name, endpoint_name = split_id(identity)
        provider = self._provider(name, inputs)
        found = await provider.find(endpoint_name)
        if found is None:
            return ReadResult("", {}, {})
        really = await provider.describe(found)
        known = inputs or await _remembered(name, provider, endpoint_name) or imported(found, really)
        return ReadResult(identity, described(known, found, really), known)

    async def delete(self, identity: str, old: Mapping[str, Any]) -> None:
        """Nothing is left; what is gone already is a success, and so is what a crash left without a record."""
        name, endpoint_name = split_id(identity)
        provider = self._provider(name, old)
        found = await provider.find(endpoint_name)
        await provider.destroy(found or _as_recorded(name, endpoint_name, old))

    def _provider(self, name: str, stated: Mapping[str, Any]) -> InferenceProvider:
        """The tier's provider, told what the state has of the endpoint; an import has nothing yet."""
        provider = self.provider_of(name)
        if not isinstance(provider, Knowing) or not all(stated.get(key) for key in INPUTS):
            return provider
        desired = parse(stated)
        return provider.knowing(desired.models, desired.spec)


async def _remembered(tier: str, provider: InferenceProvider, name: str) -> dict[str, Any] | None:
    """The inputs that an endpoint was deployed with, where its provider keeps them."""
    recorded = await provider.recorded(name) if isinstance(provider, Remembers) else None
    return inputs_of(tier, *recorded) if recorded else None


async def _left_by(provider: InferenceProvider, desired: Desired, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """The outputs of what exists after a failure; None when nothing does, or when it cannot be told."""
    try:
        async with asyncio.timeout(_LOOK_S):
            found = await provider.find(desired.spec.name)
            return described(inputs, found, await provider.describe(found)) if found else None
    except (TakeoverError, TimeoutError, OSError):
        return None  # the failure that led here is the one to tell


def _as_recorded(provider: str, name: str, old: Mapping[str, Any]) -> Endpoint:
    return Endpoint(id=name, name=name, provider=provider, url=str(old.get("url") or ""), models=())
