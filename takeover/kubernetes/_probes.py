"""When a pod counts as started, ready and alive, and how it ends. All ask through the gate, its only door.

/health answers when the socket listens, and vLLM loads its adapters before that: ready means loaded. It is 503 only
when the engine is dead, so a busy one is never killed.
"""

from __future__ import annotations

from typing import Any

from takeover.kubernetes import names
from takeover.kubernetes.serving import Serving

__all__ = ["ENDPOINTS_GONE_S", "engine_probes", "gate_probes", "grace_seconds", "lifecycle", "start_limit_s"]

# After a pod was told to end, so long until nobody sends it anything new: the endpoint's removal reaches every node and
# balancer within seconds, and the gate closes the connections that callers keep (10 s in use and 15 s idle at most).
ENDPOINTS_GONE_S = 30
_AFTER_DRAIN_S = 15
_START_PERIOD_S = 10


def engine_probes(serving: Serving) -> dict[str, Any]:
    """Nothing but the start-up probe asks while the base loads: a pod that loads is neither killed nor called."""
    limit = -(-serving.options.startup_timeout_seconds // _START_PERIOD_S)
    return {
        "startupProbe": _get("/health", periodSeconds=_START_PERIOD_S, timeoutSeconds=5, failureThreshold=limit),
        "readinessProbe": _get("/health", periodSeconds=5, timeoutSeconds=5, failureThreshold=3),
        "livenessProbe": _get("/health", periodSeconds=15, timeoutSeconds=10, failureThreshold=6),
    }


def gate_probes() -> dict[str, Any]:
    """nginx's own: it is asked for itself alone, or an engine that loads would restart it."""
    return {
        "readinessProbe": _get("/gate", periodSeconds=5, timeoutSeconds=2, failureThreshold=3),
        "livenessProbe": _get("/gate", periodSeconds=10, timeoutSeconds=5, failureThreshold=3),
    }


def _get(path: str, **times: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": names.METRICS_PORT}, **times}


def lifecycle() -> dict[str, Any]:
    """Before SIGTERM: the kubelet itself waits (Kubernetes 1.30 and later), no shell is needed in the image."""
    return {"preStop": {"sleep": {"seconds": ENDPOINTS_GONE_S}}}


def grace_seconds(serving: Serving) -> int:
    """The wait, then the engine's drain (`--shutdown-timeout`), then room to end; SIGKILL only after all of it."""
    return ENDPOINTS_GONE_S + serving.options.drain_seconds + _AFTER_DRAIN_S


def start_limit_s(serving: Serving) -> int:
    """How long one rollout step may take: a node, the image, the weights, and the end of the pod it replaces."""
    return serving.options.startup_timeout_seconds + grace_seconds(serving) + 600
