"""The endpoints of these tests as values: the smallest one, and each of its larger kin."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from takeover.kubernetes import Platform, Serving, flags_for, serving_for
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.settings._kubernetes import KubernetesOptions

NAME = "support-prod-0a1b2c3d"
BASE = f"hub:meta-llama/Llama-3.1-8B-Instruct@{'0e9e39f249a16976918f6564b8830bc894c89659'}"
COMMIT = "c" * 40
NO_PLATFORM = Platform()
PROMETHEUS = "http://prometheus-operated.monitoring.svc:9090"
PICKER = f"ghcr.io/llm-d/llm-d-router-endpoint-picker:v0.10.0@sha256:{'d' * 64}"
SGLANG = f"docker.io/lmsysorg/sglang:v0.6.0@sha256:{'e' * 64}"


def trained(name: str = "tone", version: int = 1, *, rank: int = 16, source: str | None = None) -> TrainedModel:
    """An adapter that nobody has: its digest is that of its name and version."""
    digest = hashlib.sha256(f"{name}-{version}".encode()).hexdigest()
    return TrainedModel(
        name=name,
        digest=f"sha256:{digest}",
        served_name=f"{name}@{digest[:12]}",
        path=f"adapters/{name}",
        base=BASE,
        rank=rank,
        source=f"hf://acme/{name}@{COMMIT}" if source is None else source,
    )


@dataclass(frozen=True)
class Given:
    """One endpoint: `options` as a stack has them under takeover:kubernetes."""

    options: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[TrainedModel, ...] = (trained(),)
    replicas: tuple[int, int] = (1, 1)
    platform: Platform = NO_PLATFORM
    target_latency_ms: int | None = None

    @property
    def spec(self) -> EndpointSpec:
        options = KubernetesOptions.model_validate(dict(self.options))
        return EndpointSpec(
            name=NAME,
            base=BASE,
            cluster="kubernetes",
            min_replicas=self.replicas[0],
            max_replicas=self.replicas[1],
            options=options.model_dump(mode="json", exclude_none=True),
            labels={"managed-by": "takeover", "project": "support", "stack": "prod", "tier": "dedicated-vllm"},
        )

    def serving(self) -> Serving:
        return serving_for(
            self.models,
            self.spec,
            flags_for(self.models, self.spec),
            platform=self.platform,
            target_latency_ms=self.target_latency_ms,
        )


GIVEN: Mapping[str, Given] = {
    "minimal": Given({"monitoring": "none"}),
    "full": Given(
        {
            "namespace": "llm",
            "imagePullSecrets": ["registry"],
            "gpu": "H100",
            "gpus": 2,
            "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
            "tolerations": [{"key": "nvidia.com/gpu", "value": "present"}],
            "priorityClass": "llm",
            "cacheStorageClass": "fast",
            "externalSecret": {
                "store": "vault",
                "apiKey": "llm/support",
                "apiKeyProperty": "key",
                "hubToken": "hub/token",
            },
            "storageSecret": "bucket",
            "spareGpu": True,
            "prometheus": PROMETHEUS,
            "monitorLabels": {"release": "kube-prometheus-stack"},
            "ingress": {"host": "llm.example.com", "className": "nginx", "tlsSecret": "llm-tls"},
        },
        replicas=(2, 6),
        target_latency_ms=500,
    ),
    "several-adapters": Given(
        {"namespace": "llm", "apiKeySecret": "support-key", "scaler": "hpa", "monitoring": "none"},
        models=(trained(), trained("legal", rank=64, source=f"s3://acme-adapters/legal@sha256:{'f' * 64}")),
        replicas=(1, 3),
    ),
    "scale-to-zero": Given(
        {
            "namespace": "llm",
            "apiKeySecret": "support-key",
            "prometheus": PROMETHEUS,
            "routing": "inference-extension",
            "pickerImage": PICKER,
            "gateway": {"name": "llm", "namespace": "gateways", "section": "https"},
        },
        replicas=(0, 4),
    ),
    "private-network": Given(
        {
            "monitoring": "none",
            "namespace": "llm",
            "apiKeySecret": "support-key",
            "hubTokenSecret": "hub",
            "hubEndpoint": "http://hub.internal:8081",
            "callers": ["shop", "10.20.0.0/16"],
            "egressCidrs": ["10.0.0.0/8"],
            "cacheClaim": "weights",
            "serviceAccountAnnotations": {"iam.gke.io/gcp-service-account": "llm@acme.iam.gserviceaccount.com"},
        },
        replicas=(2, 2),
        platform=Platform(
            pod_annotations={"karpenter.sh/do-not-disrupt": "true"},
            egress=(("169.254.170.23/32", 80),),
            hostname="llm.internal",
            ingress_class="alb",
            ingress_annotations={"alb.ingress.kubernetes.io/scheme": "internal"},
        ),
    ),
    "sglang": Given({"engine": "sglang", "image": SGLANG, "monitoring": "none"}),
    "multi-node": Given(
        {"nodes": 2, "gpus": 8, "gpu": "H100", "memoryGib": 512, "monitoring": "none"},
    ),
}
