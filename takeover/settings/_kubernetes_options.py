"""`takeover:kubernetes` as types: the clusters `kubernetes` and `eks` read it. docs/settings.md lists each key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from takeover.settings._models import Names, Positive, _Strict

__all__ = [
    "ENGINE_IMAGE",
    "GATE_IMAGE",
    "ExternalKey",
    "Gateway",
    "Ingress",
    "KubernetesOptions",
    "Toleration",
    "parse_options",
]

# Tags and the digests of their multi-platform indexes, as several public repositories pin them (read 2026-11-25). This
# vLLM is built for CUDA 13: the nodes' driver is 580 or newer.
ENGINE_IMAGE = (
    "docker.io/vllm/vllm-openai:v0.30.0@sha256:8a69ffad015f138d7170c4ddc429e230a3bc1c1719f67e14324749df200a4b90"
)
GATE_IMAGE = (
    "docker.io/nginxinc/nginx-unprivileged:1.31.3-alpine-slim"
    "@sha256:d61d7ef52430df468e74ed6ee6e914429b80e20ba988e3176278a73165f876cf"
)


class Toleration(_Strict):
    """A taint that the pods bear; without `value` whatever its value is. Effects are those of Kubernetes."""

    key: str
    value: str | None = None
    effect: Literal["NoSchedule", "NoExecute", "PreferNoSchedule"] = "NoSchedule"


class ExternalKey(_Strict):
    """The API key's place in a store that the External Secrets operator reads; `hubToken` likewise, for a gated base.

    `apiKey` and `hubToken` are names in the store; `property` picks one value of a JSON secret.
    """

    store: str
    store_kind: Literal["SecretStore", "ClusterSecretStore"] = "ClusterSecretStore"
    api_key: str
    api_key_property: str | None = None
    hub_token: str | None = None
    hub_token_property: str | None = None
    refresh_seconds: Positive = 3600


class Gateway(_Strict):
    """A Gateway that exists, for `routing: inference-extension`. `namespace` is its own; `section` one listener."""

    name: str
    namespace: str
    section: str | None = None


class Ingress(_Strict):
    """How it is reached from outside. The certificate is in the Secret `tlsSecret`, or is the controller's affair."""

    host: str
    class_name: str
    tls_secret: str | None = None
    annotations: Mapping[str, str] = Field(default_factory=dict)


class KubernetesOptions(_Strict):
    """`takeover:kubernetes`. Without `namespace` the endpoint has one of its own, made and deleted with it; one that is
    given exists already. `gpus` are those of one pod, `nodes` the pods of one replica. `monitorLabels` are what the
    cluster's Prometheus looks for on monitors and rules: without `release: ...` most installations pass them over."""

    kubeconfig: str | None = None
    context: str | None = None
    expected_cluster: str | None = None
    namespace: str | None = None

    engine: Literal["vllm", "sglang"] = "vllm"
    image: str = ENGINE_IMAGE
    gate_image: str = GATE_IMAGE
    image_pull_secrets: Names = ()

    gpu: str = "L40S"
    gpus: Positive = 1
    nodes: Positive = 1
    gpu_resource: str = "nvidia.com/gpu"
    node_selector: Mapping[str, str] = Field(default_factory=dict)
    tolerations: Annotated[tuple[Toleration, ...], Field(strict=False)] = (Toleration(key="nvidia.com/gpu"),)
    priority_class: str | None = None
    cpus: Positive = 4
    memory_gib: Positive = 24
    shared_memory_gib: Positive = 4
    cache_gib: Positive = 60
    cache_storage_class: str | None = None
    cache_claim: str | None = None

    context_length: Positive = 8192
    concurrency: Positive = 8

    api_key_secret: str | None = None
    external_secret: ExternalKey | None = None
    hub_token_secret: str | None = None
    storage_secret: str | None = None
    service_account_annotations: Mapping[str, str] = Field(default_factory=dict)
    hub_endpoint: str | None = None

    spare_gpu: bool = False
    startup_timeout_seconds: Annotated[int, Field(ge=60, le=14400)] = 1800
    drain_seconds: Annotated[int, Field(ge=1, le=3600)] = 120
    request_timeout_seconds: Annotated[int, Field(ge=1, le=86400)] = 600

    scaler: Literal["keda", "hpa", "none"] = "keda"
    prometheus: str | None = None
    queue_per_replica: Positive = 2
    kv_cache_percent: Annotated[int, Field(ge=1, le=100)] = 80
    idle_seconds: Annotated[int, Field(ge=60)] = 900
    wake_query: str | None = None

    routing: Literal["service", "inference-extension"] = "service"
    picker_image: str | None = None
    gateway: Gateway | None = None
    ingress: Ingress | None = None

    monitoring: Literal["prometheus-operator", "none"] = "prometheus-operator"
    monitoring_namespace: str = "monitoring"
    monitor_labels: Mapping[str, str] = Field(default_factory=dict)
    callers: Names = ()
    egress_cidrs: Names = ()


def parse_options(raw: Mapping[str, Any]) -> KubernetesOptions:
    """The options out of `EndpointSpec.options`, which were checked when the stack's file was read."""
    return KubernetesOptions.model_validate(dict(raw))
