"""What is scraped, and what wakes somebody: a PodMonitor and a PrometheusRule of the Prometheus operator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from takeover.kubernetes import names
from takeover.kubernetes._metrics import engine_metrics, scope, summed
from takeover.kubernetes._object import Manifest, manifest
from takeover.kubernetes.serving import Serving

__all__ = ["picker_monitor", "pod_monitor", "rules"]

_QUEUES_FULL = 4


def pod_monitor(serving: Serving) -> Manifest:
    """Each pod by itself, also while it is not ready: a Service would leave those out."""
    return _monitor(serving, names.workload(serving.name), names.ENGINE)


def picker_monitor(serving: Serving) -> Manifest:
    """The endpoint picker's queue is what wakes the first pod."""
    return _monitor(serving, names.picker(serving.name), names.PICKER)


def _monitor(serving: Serving, name: str, component: str) -> Manifest:
    spec = {
        "selector": {"matchLabels": names.selector(serving.name, component)},
        "podMetricsEndpoints": [{"port": "metrics", "path": "/metrics", "interval": "15s", "scrapeTimeout": "10s"}],
    }
    return _watching(serving, "PodMonitor", name, spec, component)


def rules(serving: Serving) -> Manifest:
    """The alerts. kube_* are those of kube-state-metrics."""
    spec = {"groups": [{"name": serving.name, "rules": list(_alerts(serving))}]}
    return _watching(serving, "PrometheusRule", names.workload(serving.name), spec)


def _watching(serving: Serving, kind: str, name: str, spec: dict[str, Any], component: str = names.ENGINE) -> Manifest:
    labels, api = serving.options.monitor_labels, "monitoring.coreos.com/v1"
    return manifest(serving, api, kind, name, component=component, labels=labels, spec=spec)


def _alerts(serving: Serving) -> Iterator[dict[str, Any]]:
    metrics, options = engine_metrics(serving), serving.options
    where = f'namespace="{serving.namespace}"'
    pods = f'{where},pod=~"{serving.name}-.*"'
    if serving.min_replicas > 0:
        ready = f'sum(kube_pod_status_ready{{{pods},condition="true"}}) or vector(0)'
        yield _alert("NoReadyReplica", f"({ready}) == 0", "2m", "critical", "no replica is ready: every request fails")
    if serving.target_latency_ms is not None:
        buckets = f"sum by (le) (rate({metrics.until_first}_bucket{{{scope(serving)}}}[5m]))"
        limit = serving.target_latency_ms / 1000
        said = f"p95 of the time to the first token is over {serving.target_latency_ms} ms"
        yield _alert("SlowFirstToken", f"histogram_quantile(0.95, {buckets}) > {limit:g}", "10m", "warning", said)
    per_pod = f"avg({metrics.waiting}{{{scope(serving)}}})"
    said = "requests wait longer than scaling can help: raise maxReplicas, or look for nodes without room"
    yield _alert("QueueGrows", f"{per_pod} > {_QUEUES_FULL * options.queue_per_replica}", "10m", "warning", said)
    failed = f'sum(rate(http_requests_total{{{pods},status="5xx"}}[5m]))'
    total = f"sum(rate(http_requests_total{{{pods}}}[5m]))"
    yield _alert("Errors", f"{failed} / {total} > 0.02", "5m", "critical", "more than 2% of the answers are errors")
    restarts = f'increase(kube_pod_container_status_restarts_total{{{pods},container="engine"}}[30m])'
    yield _alert("EngineRestarts", f"max({restarts}) > 2", "0m", "warning", "the engine restarts again and again")
    fetching = f'kube_pod_init_container_status_waiting_reason{{{pods},reason="CrashLoopBackOff"}}'
    said = "an adapter cannot be fetched, or is not the one that was asked for: see the log of fetch-adapters"
    yield _alert("AdapterRefused", f"max({fetching}) > 0", "5m", "warning", said)
    idle = f"{summed(serving, metrics.running)} or vector(-1)"
    said = "the engine's metrics are missing: scaling and the alerts above see nothing"
    if serving.min_replicas > 0:
        yield _alert("MetricsMissing", f"({idle}) < 0", "10m", "warning", said)


def _alert(name: str, query: str, pending: str, severity: str, summary: str) -> dict[str, Any]:
    return {
        "alert": f"Takeover{name}",
        "expr": query,
        "for": pending,
        "labels": {"severity": severity},
        "annotations": {"summary": summary},
    }
