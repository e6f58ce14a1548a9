"""What a stack may say, as types. Keys are camelCase, as in the evaluation's InferenceHostingConfig; all are frozen."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

__all__ = [
    "AdapterKeys",
    "AdapterSource",
    "Budget",
    "Cluster",
    "DedicatedVllmOptions",
    "Environment",
    "Hosting",
    "LocalOptions",
    "ModalOptions",
    "SourceKind",
    "Workload",
]

Environment = Literal["development", "staging", "production"]
Tolerance = Literal["high", "medium", "none"]
Cluster = Literal["existing", "eks", "kubernetes", "runpod", "lambda", "vast"]
SourceKind = Literal["folder", "hf", "s3", "gs", "file"]

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
    """`takeover:hosting`. What an environment does not ask for is None; replicas have the environment's default.

    With `protect` the engine refuses to delete the endpoint; without the key it does so in production.
    """

    environment: Environment
    provider: str
    cluster: Cluster | None = None
    cold_start_tolerance: Tolerance
    max_cold_start_ms: Positive | None = None
    min_replicas: Annotated[int, Field(ge=0)]
    max_replicas: Positive
    target_latency_ms: Positive | None = None
    protect: bool | None = None

    @property
    def is_protected(self) -> bool:
        """Whether the engine refuses to delete the endpoint: in production, unless `protect` says otherwise."""
        return self.environment == "production" if self.protect is None else self.protect


class AdapterKeys(_Strict):
    """`takeover:adapter`, or one item of `takeover:adapters`, as it is written."""

    source: str
    digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None


class AdapterSource(_Strict):
    """Where an adapter is and what it must be: `key` is the YAML key that says so (`takeover:adapters[1]`).

    `kind` "folder" is an adapter's own folder; any other is that of an address (`takeover.registry.Address`).
    """

    key: str
    source: str
    kind: SourceKind
    digest: str | None = None


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


# modal.com/docs/guide/gpu.md, read 2026-11-25.
_MODAL_GPUS = r"^(T4|L4|A10|L40S|A100|A100-40GB|A100-80GB|RTX-PRO-6000|H100!?|H200|B200\+?)(:[1-8])?$"
Names = Annotated[tuple[str, ...], Field(strict=False)]


class ModalOptions(_Strict):
    """`takeover:modal`. `gpu` may have a count (`L40S:2`). `snapshot` auto is on for one GPU, off for several. A region
    costs 1.5 to 1.75 times as much. `secrets` are names of Modal secrets: one with HF_TOKEN, for a gated base."""

    gpu: Annotated[str, StringConstraints(pattern=_MODAL_GPUS)] = "L40S"
    snapshot: Literal["auto", "on", "off"] = "auto"
    buffer_containers: Annotated[int, Field(ge=0)] = 0
    scaledown_window_seconds: Annotated[int, Field(ge=2, le=3600)] = 300
    max_concurrent_inputs: Positive = 32
    regions: Names = ()
    startup_timeout_seconds: Annotated[int, Field(ge=30, le=86400)] = 1200
    request_timeout_seconds: Annotated[int, Field(ge=1, le=86400)] = 600
    secrets: Names = ()
    bases_volume: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "takeover-bases"
    vllm: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")] = "0.33.0"
    context_length: Positive | None = None


Address = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")]
AbsolutePath = Annotated[str, StringConstraints(pattern=r"^[~/]")]


class DedicatedVllmOptions(_Strict):
    """`takeover:dedicated-vllm`, servers that somebody else runs. docs/dedicated-vllm.md explains each key.

    `replicaUrls` or `resolve` say how several replicas behind VLLM_CLUSTER_URL are reached; `agreements` is how many
    answers in a row must agree where one address may be several. Without `sharedPath` the server must be on this
    machine.
    """

    engine: Literal["vllm", "sglang", "tgi"] = "vllm"
    replica_urls: Annotated[tuple[Address, ...], Field(strict=False)] = ()
    resolve: Literal["none", "dns", "balancer"] = "none"
    agreements: Annotated[int, Field(ge=1, le=100)] = 8
    base_model: str | None = None
    adapter_files: Literal["shared-path", "server-pulls"] = "shared-path"
    shared_path: AbsolutePath | None = None
    shared_path_there: AbsolutePath | None = None
    pull_from: str | None = None
    drain_seconds: Annotated[int, Field(ge=0)] = 300
