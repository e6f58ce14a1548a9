"""CloudWatch's figures of the last hour, as the protocol has them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from takeover.providers._base import InferenceMetrics
from takeover.providers._sagemaker_api import Api
from takeover.providers._sagemaker_read import Found
from takeover.sagemaker.names import VARIANT, base_component

__all__ = ["build_queries", "figures", "parse_figures"]

# Our name -> SageMaker's metric and the statistic of it.
_QUERIES: Mapping[str, tuple[str, str]] = {
    "requests": ("Invocations", "Sum"),
    "errors4xx": ("Invocation4XXErrors", "Sum"),
    "errors5xx": ("Invocation5XXErrors", "Sum"),
    "latency50": ("ModelLatency", "p50"),
    "latency95": ("ModelLatency", "p95"),
    "first50": ("FirstChunkModelLatency", "p50"),
}
_HOUR_S = 3600


def build_queries(name: str, *, has_components: bool) -> list[dict[str, Any]]:
    """GetMetricData, one value for the whole hour each."""
    dimensions = (
        [{"Name": "InferenceComponentName", "Value": base_component(name)}]
        if has_components
        else [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": VARIANT}]
    )
    return [
        {
            "Id": identity,
            "MetricStat": {
                "Metric": {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions},
                "Period": _HOUR_S,
                "Stat": statistic,
            },
        }
        for identity, (metric, statistic) in _QUERIES.items()
    ]


def parse_figures(answer: Mapping[str, Any], replicas: int | None) -> InferenceMetrics:
    """No value of a count means that nothing was counted; no value of a latency that nothing was measured."""
    values = {each["Id"]: list(each.get("Values") or ()) for each in answer.get("MetricDataResults") or ()}

    def count(*names: str) -> int:
        return round(sum(sum(values.get(name, ())) for name in names))

    def milliseconds(name: str) -> float | None:
        found = values.get(name)
        return max(found) / 1000 if found else None

    return InferenceMetrics(
        requests=count("requests"),
        errors=count("errors4xx", "errors5xx"),
        latency_p50_ms=milliseconds("latency50"),
        latency_p95_ms=milliseconds("latency95"),
        first_token_p50_ms=milliseconds("first50"),
        replicas=replicas,
    )


async def figures(api: Api, found: Found) -> InferenceMetrics:
    """Figures of the last hour."""
    now = datetime.now(UTC)
    answer = await api.call(
        "cloudwatch",
        "get_metric_data",
        MetricDataQueries=build_queries(found.name, has_components=found.has_components),
        StartTime=now - timedelta(seconds=_HOUR_S),
        EndTime=now,
    )
    return parse_figures(answer, found.replicas)
