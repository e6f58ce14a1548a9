"""A Grafana dashboard in a ConfigMap, which Grafana's sidecar finds by its label (grafana/helm-charts, sidecar)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from takeover.kubernetes._metrics import engine_metrics, scope, summed
from takeover.kubernetes._object import Manifest, manifest
from takeover.kubernetes.serving import Serving

__all__ = ["dashboard"]

_SOURCE = {"type": "prometheus", "uid": "${source}"}
_WIDTH, _HEIGHT = 12, 8


def dashboard(serving: Serving) -> Manifest:
    """One page: what callers feel, what waits, what is used, what runs."""
    data = {f"{serving.name}.json": json.dumps(_page(serving), indent=2)}
    labels = {"grafana_dashboard": "1"}
    return manifest(serving, "v1", "ConfigMap", f"{serving.name}-dashboard", labels=labels, data=data)


def _page(serving: Serving) -> dict[str, Any]:
    return {
        "uid": serving.name,
        "title": f"takeover: {serving.name}",
        "tags": ["takeover", "llm"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus"}]},
        "panels": [_panel(index, *each) for index, each in enumerate(_panels(serving))],
    }


def _panels(serving: Serving) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Title, unit, and the series as (legend, query)."""
    metrics = engine_metrics(serving)
    pods = f'namespace="{serving.namespace}",pod=~"{serving.name}-.*"'
    return [
        ("Time to the first token", "s", _quantiles(serving, metrics.until_first)),
        ("Time between tokens", "s", _quantiles(serving, metrics.between_two)),
        (
            "Requests",
            "short",
            [("running", summed(serving, metrics.running)), ("waiting", summed(serving, metrics.waiting))],
        ),
        ("KV cache in use", "percentunit", [("{{pod}}", f"{metrics.kv_cache}{{{scope(serving)}}}")]),
        (
            "Tokens a second",
            "short",
            [
                ("prompt", f"sum(rate({metrics.prompt_tokens}{{{scope(serving)}}}[5m]))"),
                ("answer", f"sum(rate({metrics.answer_tokens}{{{scope(serving)}}}[5m]))"),
            ],
        ),
        (
            "Answers by status",
            "reqps",
            [("{{status}}", f"sum by (status) (rate(http_requests_total{{{pods}}}[5m]))")],
        ),
        (
            "Pods",
            "short",
            [
                ("ready", f'sum(kube_pod_status_ready{{{pods},condition="true"}})'),
                ("all", f"count(kube_pod_info{{{pods}}})"),
            ],
        ),
        ("GPU in use", "percent", [("{{pod}}", f"DCGM_FI_DEV_GPU_UTIL{{{pods}}}")]),
    ]


def _quantiles(serving: Serving, metric: str) -> list[tuple[str, str]]:
    buckets = f"sum by (le) (rate({metric}_bucket{{{scope(serving)}}}[5m]))"
    return [(f"p{share}", f"histogram_quantile(0.{share}, {buckets})") for share in (50, 95, 99)]


def _panel(index: int, title: str, unit: str, series: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        "id": index + 1,
        "type": "timeseries",
        "title": title,
        "datasource": _SOURCE,
        "gridPos": {"x": _WIDTH * (index % 2), "y": _HEIGHT * (index // 2), "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "expr": query, "legendFormat": legend}
            for number, (legend, query) in enumerate(series)
        ],
    }
