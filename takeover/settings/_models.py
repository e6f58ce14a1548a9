"""What a stack may say, as types. Keys are camelCase, as in the evaluation's InferenceHostingConfig; all are frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

__all__ = [
    "AdapterKeys",
    "AdapterSource",
    "Budget",
    "Cluster",
    "Environment",
    "Hosting",
    "LocalOptions",
    "Settings",
    "SourceKind",
    "Workload",
]

Environment = Literal["development", "staging", "production"]
Tolerance = Literal["high", "medium", "none"]
Cluster = Literal["existing", "eks", "kubernetes", "runpod", "lambda", "vast"]
SourceKind = Literal["folder", "hf", "s3", "gs"]

Positive = Annotated[int, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=False,
        serialize_by_alias=True,
        allow_inf_nan=False,
    )


class Hosting(_Strict):
    """`takeover:hosting`. What an environment does not ask for is None; replicas have the environment's default."""

    environment: Environment
    provider: str
    cluster: Cluster | None = None
    cold_start_tolerance: Tolerance
    max_cold_start_ms: Positive | None = None
    min_replicas: Annotated[int, Field(ge=0)]
    max_replicas: Positive
    target_latency_ms: Positive | None = None


class AdapterKeys(_Strict):
    """`takeover:adapter`, or one item of `takeover:adapters`, as it is written."""

    source: str
    digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None


class AdapterSource(_Strict):
    """Where an adapter is and what it must be: `key` is the YAML key that says so (`takeover:adapters[1]`)."""

    key: str
    source: str
    kind: SourceKind
    digest: str | None = None

    def folder(self, root: Path) -> Path:
        """The folder that `source` names; relative to the project's root (where Pulumi.yaml is)."""
        if self.kind != "folder":
            raise ValueError(f"{self.key}.source is no folder: {self.source}")
        return root / Path(self.source).expanduser()


class Workload(_Strict):
    """`takeover:workload`: what is expected, for the plan. Tokens count prompt and answer together."""

    requests_per_day: Positive
    tokens_per_request: Positive
    pattern: Literal["steady", "diurnal", "spiky"] = "steady"


class Budget(_Strict):
    """`takeover:budget`, in US dollars a month."""

    monthly_usd: Annotated[float, Field(ge=0)]


class LocalOptions(_Strict):
    """`takeover:local`. Port 0 is any free one; without `contextLength` it is the base's own."""

    engine: Annotated[str, StringConstraints(pattern=r"^(takeover|vllm|https?://[^\s/]\S*)$")] = "takeover"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    max_batch: Positive = 8
    max_queue: Positive = 64
    context_length: Positive | None = None
    start_timeout_seconds: Positive = 300
    drain_seconds: Annotated[int, Field(ge=0)] = 30


class Settings(BaseModel):
    """Everything that one stack says, checked. `local` is None where another provider is chosen."""

    # Built by us from checked parts, under Python's names.
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    stack: str
    hosting: Hosting
    adapter_sources: tuple[AdapterSource, ...]
    workload: Workload | None = None
    budget: Budget | None = None
    local: LocalOptions | None = None

    def options(self) -> dict[str, Any]:
        """The chosen provider's own settings with their defaults, in camelCase: `EndpointSpec.options`."""
        return self.local.model_dump(mode="json", exclude_none=True) if self.local is not None else {}
