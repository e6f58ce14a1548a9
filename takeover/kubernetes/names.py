"""What the objects of an endpoint are called, and the labels, ports and paths that several of them share. Pure.

Names begin with the endpoint's (`takeover.naming.endpoint_name`, 40 characters at most). No Service is called `vllm`:
Kubernetes would give every pod a VLLM_PORT, which vLLM reads as its own (vllm-project/vllm#34199).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from takeover.providers._base import TrainedModel

__all__ = [
    "ADAPTERS",
    "ADAPTERS_ANNOTATION",
    "API_KEY",
    "BASE_ANNOTATION",
    "CACHE",
    "DIGESTS_ANNOTATION",
    "DIGEST_LABEL",
    "ENGINE",
    "ENGINE_PORT",
    "FIELD_MANAGER",
    "GATE_PORT",
    "HUB_ENTRY",
    "KEY_ANNOTATION",
    "METRICS_PORT",
    "PICKER",
    "POOL_PORT",
    "SHARED_MEMORY",
    "TMP",
    "adapter_folder",
    "content_name",
    "hub_secret",
    "key_secret",
    "labels",
    "lora_name",
    "picker",
    "selector",
    "service",
    "workload",
]

# The component of the pods that answer; the picker's are others, so that no selector finds both.
ENGINE = "engine"
PICKER = "picker"
_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")

# The gate's three ports: for callers; for Prometheus and the kubelet; for a gateway and its endpoint picker. The engine
# itself listens on the pod's loopback.
GATE_PORT = 8080
METRICS_PORT = 8081
POOL_PORT = 8082
ENGINE_PORT = 8000

# Keys inside of the Secrets.
API_KEY = "api-key"
HUB_ENTRY = "token"

# On the Deployment (or LeaderWorkerSet) and its pods. A label holds 63 characters: the whole digests (`sha256:...`,
# with commas between) and served names stand in the annotations, the default adapter first.
DIGEST_LABEL = "takeover.dev/digest"
DIGESTS_ANNOTATION = "takeover.dev/digests"
ADAPTERS_ANNOTATION = "takeover.dev/adapters"
BASE_ANNOTATION = "takeover.dev/base"
KEY_ANNOTATION = "takeover.dev/key"

FIELD_MANAGER = "takeover"

ADAPTERS = PurePosixPath("/adapters")
CACHE = PurePosixPath("/cache")
TMP = "/tmp"  # noqa: S108 a volume of the pod's own
SHARED_MEMORY = "/dev/shm"  # noqa: S108 likewise


def workload(name: str) -> str:
    """The Deployment or LeaderWorkerSet, and what goes with it one to one (ServiceAccount, PodDisruptionBudget...)."""
    return name


def service(name: str) -> str:
    """The Service before the pods."""
    return f"{name}-pods"


def picker(name: str) -> str:
    """Deployment and Service of the inference extension's endpoint picker."""
    return f"{name}-picker"


def key_secret(name: str) -> str:
    """The Secret with the API key, where the stack makes it (or External Secrets does)."""
    return f"{name}-key"


def hub_secret(name: str) -> str:
    """The Secret with the Hub's token, where External Secrets makes it."""
    return f"{name}-hub"


def content_name(name: str, role: str, data: Mapping[str, Any]) -> str:
    """The name of a ConfigMap by what is in it: other content is another object, and a pod that runs keeps its own."""
    mark = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:8]
    return f"{name}-{role}-{mark}"


def selector(name: str, component: str = ENGINE) -> dict[str, str]:
    """The labels by which pods are found; they never change, or the rollout would have to start anew."""
    return {
        "app.kubernetes.io/name": "takeover",
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/component": component,
    }


def labels(name: str, extra: Mapping[str, str], component: str = ENGINE) -> dict[str, str]:
    """The labels of every object: the selector's, who manages it, and `extra` (project, stack) under our prefix.

    What is no label's value (a stack called `org/project/stack`) is left out.
    """
    own = {**selector(name, component), "app.kubernetes.io/managed-by": "takeover"}
    more = {
        f"takeover.dev/{key}": value
        for key, value in sorted(extra.items())
        if key not in ("managed-by", "tier") and _VALUE.fullmatch(value)
    }
    return own | more


def lora_name(model: TrainedModel) -> str:
    """What the engine calls an adapter, whatever else callers must put before it: `<name>@<12 hex>`."""
    return f"{model.name}@{model.digest.removeprefix('sha256:')[:12]}"


def adapter_folder(digest: str) -> PurePosixPath:
    """Where an adapter lies in the pod: by its content, so that two versions never share a place."""
    return ADAPTERS / digest.removeprefix("sha256:")
