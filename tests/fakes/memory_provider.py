"""An `InferenceProvider` in memory, for tests of what drives one; it does what it is told to at each step."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from takeover.errors import Refused
from takeover.providers._base import Described, Endpoint, EndpointSpec, InferenceMetrics, TrainedModel
from takeover.providers._progress import progress


@dataclass
class MemoryProvider:
    """`fails_before` and `fails_after` raise in deploy, before or after the endpoint exists; `hangs` never ends."""

    name: str = "local"
    made: dict[str, tuple[TrainedModel, ...]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    fails_before: BaseException | None = None
    fails_after: BaseException | None = None
    fails_to_look: Exception | None = None
    hangs: bool = False
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def deploy(self, models: tuple[TrainedModel, ...], spec: EndpointSpec) -> Endpoint:
        self.calls.append(f"deploy {spec.name}")
        progress("begin", "beginning")
        if self.fails_before:
            raise self.fails_before
        self.made[spec.name] = models
        self.begun.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails_after:
            raise self.fails_after
        return self._endpoint(spec.name)

    def _endpoint(self, name: str) -> Endpoint:
        models = tuple(model.served_name for model in self.made[name])
        return Endpoint(
            id=name, name=name, provider=self.name, url=f"http://{name}/v1", models=models, api_key=SecretStr("k")
        )

    async def find(self, name: str) -> Endpoint | None:
        if self.fails_to_look:
            raise self.fails_to_look
        return self._endpoint(name) if name in self.made else None

    async def describe(self, endpoint: Endpoint) -> Described | None:
        models = self.made.get(endpoint.name)
        if models is None:
            return None
        return Described(
            endpoint=endpoint,
            base=models[0].base,
            models=endpoint.models,
            digests=tuple(model.digest for model in models),
            replicas=1,
            hardware=None,
            healthy=self.fails_after is None and not self.hangs,
        )

    async def destroy(self, endpoint: Endpoint) -> None:
        self.calls.append(f"destroy {endpoint.name} at {endpoint.url}")
        self.made.pop(endpoint.name, None)

    async def inference(self, endpoint: Endpoint, prompt: str, **options: Any) -> str:
        return prompt

    async def scale(self, endpoint: Endpoint, replicas: int) -> None:
        raise Refused("it cannot be scaled")

    async def get_metrics(self, endpoint: Endpoint) -> InferenceMetrics:
        return InferenceMetrics()
