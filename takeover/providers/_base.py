"""The protocol that each tier's provider implements, and the values that cross it.

All values are frozen and JSON-able (`to_json` / `from_json` of pydantic's), because the native Pulumi provider keeps
them in the engine's state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel

__all__ = [
    "Described",
    "Endpoint",
    "EndpointSpec",
    "InferenceMetrics",
    "InferenceProvider",
    "Knowing",
    "NamesModels",
    "Remembers",
    "TrainedModel",
]


class _Value(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


class TrainedModel(_Value):
    """One adapter as it is deployed: verified on opening, named by its content.

    `served_name` is `<name>@<first 12 hex of digest>`: two versions never share a name. `path` is its folder on this
    machine, `source` the pinned address from which others fetch it (`hf://org/name@<commit>`), empty where it has none.
    """

    name: str
    digest: str
    served_name: str
    path: str
    base: str
    rank: int
    source: str = ""


class EndpointSpec(_Value):
    """What is to be served under `name` (unique per account: `<project>-<stack>-...`), by the adapters given beside it.

    `base` is a base as `takeover.bases` writes it (revision pinned); `options` are the tier's own settings
    (`takeover:<provider>`), already validated; `labels` mark whatever is created as ours. `cluster` is the kind of
    cluster, empty where the tier has no choice. `flags` are what vLLM is told, the fields of
    `takeover.planning.fit.VllmFlags`; empty where the provider chooses them.
    """

    name: str
    base: str
    cluster: str = ""
    min_replicas: int = 1
    max_replicas: int = 1
    options: Mapping[str, Any] = Field(default_factory=dict)
    labels: Mapping[str, str] = Field(default_factory=dict)
    flags: Mapping[str, Any] = Field(default_factory=dict)


class Endpoint(_Value):
    """An endpoint that exists. `models` are the served names, the first one is the default."""

    id: str
    name: str
    provider: str
    url: str
    protocol: str = "openai"
    models: tuple[str, ...]
    api_key: SecretStr | None = None
    regions: tuple[str, ...] = ()
    replicas_ready: int = 1
    cold_start_measured_ms: int | None = None


class Described(_Value):
    """What really runs now, as the other side tells it; None where it cannot tell."""

    endpoint: Endpoint
    base: str | None
    models: tuple[str, ...]
    digests: tuple[str, ...]
    replicas: int | None
    hardware: str | None
    healthy: bool
    reason: str = ""


class InferenceMetrics(_Value):
    """Figures since the endpoint started; None where the vendor has no such figure, never zero in its place."""

    requests: int | None = None
    errors: int | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    first_token_p50_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    queue: int | None = None
    replicas: int | None = None


@runtime_checkable
class InferenceProvider(Protocol):
    """What every tier can do. Blocking SDKs go through a thread; secrets never reach a message."""

    name: str

    async def deploy(self, models: tuple[TrainedModel, ...], spec: EndpointSpec) -> Endpoint:
        """Make `spec.name` serve exactly `models` (the first is the default) and return when it answers.

        Idempotent by name: called twice, or after a crash at any point, it ends with exactly one endpoint. A change of
        adapters loses no running request. Takes as long as the tier's cold start.
        Raises Refused, AuthError, QuotaError, NotReady (made, not answering in time), VendorError.
        """
        ...

    async def inference(self, endpoint: Endpoint, prompt: str, **options: Any) -> str:
        """One chat turn, the answer's text; options as in OpenAI's chat request (`model`, `max_tokens`, ...)."""
        ...

    async def scale(self, endpoint: Endpoint, replicas: int) -> None:
        """Ask for so many replicas; returns once accepted. Refused outside of what the tier can do."""
        ...

    async def destroy(self, endpoint: Endpoint) -> None:
        """Leave nothing behind; returns when it is gone. What is gone already is a success, without a word."""
        ...

    async def get_metrics(self, endpoint: Endpoint) -> InferenceMetrics:
        """Figures of the running endpoint; NotReady when nothing answers."""
        ...

    async def find(self, name: str) -> Endpoint | None:
        """The endpoint called `name` if it exists, ready or not, else None. Reads only."""
        ...

    async def describe(self, endpoint: Endpoint) -> Described | None:
        """What is really served now; None when it is gone. Reads only."""
        ...


@runtime_checkable
class Knowing(Protocol):
    """A provider whose vendor keeps no state of an endpoint: it can be told what the engine's state has."""

    def knowing(self, models: tuple[TrainedModel, ...], spec: EndpointSpec) -> InferenceProvider:
        """The same provider, told what was last asked for under `spec.name`."""
        ...


@runtime_checkable
class NamesModels(Protocol):
    """A provider whose callers ask for another name than `<name>@<digest>`."""

    def named(self, models: tuple[TrainedModel, ...], options: Mapping[str, Any]) -> tuple[TrainedModel, ...]:
        """The models with the served names that callers must ask for, under these options of the tier. Pure."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """A provider that keeps what it was asked for, so that `pulumi import` gets the inputs as they were."""

    async def recorded(self, name: str) -> tuple[tuple[TrainedModel, ...], EndpointSpec] | None:
        """What was deployed last under `name`; None where that is not known here."""
        ...
