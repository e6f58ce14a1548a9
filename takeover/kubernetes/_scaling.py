"""More pods when requests wait or the KV cache is full: by KEDA, or by an HPA where KEDA is unwanted.

Both count what all pods tell together and divide by what one may have. Fields of KEDA 2.21 (keda.sh/docs/2.21/scalers/
prometheus, .../reference/scaledobject-spec, read 2026-11-25).
"""

from __future__ import annotations

from typing import Any

from takeover.kubernetes import names
from takeover.kubernetes._metrics import engine_metrics, summed
from takeover.kubernetes._object import Manifest, manifest
from takeover.kubernetes._workload import workload_kind
from takeover.kubernetes.serving import Serving

__all__ = ["scaler", "wake_query"]

_NOTHING_IS_ZERO = " or vector(0)"


def scaler(serving: Serving) -> Manifest | None:
    """The ScaledObject or HorizontalPodAutoscaler; None where the replicas are fixed."""
    if not serving.is_scaled:
        return None
    return _scaled_object(serving) if serving.options.scaler == "keda" else _pod_autoscaler(serving)


def wake_query(serving: Serving) -> str | None:
    """What tells of requests while no pod runs; None where at least one always does."""
    if serving.min_replicas > 0:
        return None
    if serving.options.wake_query is not None:
        return serving.options.wake_query
    pool = names.workload(serving.name)
    return f'sum(llm_d_epp_flow_control_queue_size{{inference_pool="{pool}"}}){_NOTHING_IS_ZERO}'


def _target(serving: Serving) -> dict[str, str]:
    api, kind = workload_kind(serving)
    return {"apiVersion": api, "kind": kind, "name": names.workload(serving.name)}


def _scaled_object(serving: Serving) -> Manifest:
    options, metrics = serving.options, engine_metrics(serving)
    # Without a pod there are no such series, and only there is that no reason for the fallback.
    absent = _NOTHING_IS_ZERO if serving.min_replicas == 0 else ""
    share = f"{summed(serving, metrics.kv_cache)} * 100"
    triggers = [
        _trigger(serving, "queue", summed(serving, metrics.waiting) + absent, options.queue_per_replica),
        _trigger(serving, "kv-cache", f"({share}){absent}" if absent else share, options.kv_cache_percent),
    ]
    wake = wake_query(serving)
    if wake is not None:
        triggers.append(_trigger(serving, "wake", wake, options.queue_per_replica))
    spec = {
        "scaleTargetRef": _target(serving),
        "minReplicaCount": serving.min_replicas,
        "maxReplicaCount": serving.max_replicas,
        "pollingInterval": 15,
        # Only for the step to zero; the steps before it are the HPA's.
        "cooldownPeriod": options.idle_seconds,
        # Prometheus is away: keep what there is, and never less than one.
        "fallback": {
            "failureThreshold": 3,
            "replicas": max(serving.min_replicas, 1),
            "behavior": "currentReplicasIfHigher",
        },
        "advanced": {
            "restoreToOriginalReplicaCount": False,
            "horizontalPodAutoscalerConfig": {"behavior": _behaviour(serving)},
        },
        "triggers": triggers,
    }
    return manifest(serving, "keda.sh/v1alpha1", "ScaledObject", names.workload(serving.name), spec=spec)


def _trigger(serving: Serving, name: str, query: str, threshold: int) -> dict[str, Any]:
    return {
        "type": "prometheus",
        "name": name,
        "metricType": "AverageValue",
        "metadata": {
            "serverAddress": serving.options.prometheus,
            "query": query,
            "threshold": str(threshold),
            "activationThreshold": "0",
            # Else a Prometheus that lost its targets reads as an idle endpoint.
            "ignoreNullValues": "false",
        },
    }


def _behaviour(serving: Serving) -> dict[str, Any]:
    """Up at once, as a pod takes minutes; down one by one, after a quiet time."""
    return {
        "scaleUp": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]},
        "scaleDown": {
            "stabilizationWindowSeconds": min(serving.options.idle_seconds, 3600),
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 300}],
        },
    }


def _pod_autoscaler(serving: Serving) -> Manifest:
    """By metrics of the pods themselves, as prometheus-adapter offers them under names without a colon."""
    options, metrics = serving.options, engine_metrics(serving)
    spec = {
        "scaleTargetRef": _target(serving),
        "minReplicas": serving.min_replicas,
        "maxReplicas": serving.max_replicas,
        "behavior": _behaviour(serving),
        "metrics": [
            _pods_metric(metrics.waiting, str(options.queue_per_replica)),
            _pods_metric(metrics.kv_cache, f"{options.kv_cache_percent * 10}m"),
        ],
    }
    return manifest(serving, "autoscaling/v2", "HorizontalPodAutoscaler", names.workload(serving.name), spec=spec)


def _pods_metric(metric: str, average: str) -> dict[str, Any]:
    name = metric.replace(":", "_")
    target = {"type": "AverageValue", "averageValue": average}
    return {"type": "Pods", "pods": {"metric": {"name": name}, "target": target}}
