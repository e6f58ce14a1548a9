"""Modal's figures of a function, and vLLM's of one container, as the protocol's. Pure.

Names of the distributions: PyPI modal 1.6.4, cli/function.py `_INPUT_METRIC_ORDER`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from takeover.providers._base import InferenceMetrics

if TYPE_CHECKING:
    from modal.types import FunctionStats

__all__ = ["build_metrics_of"]

_LATENCY = "End-to-end latency (s)"


def build_metrics_of(
    stats: FunctionStats, backlog: int, runners: int, engine: InferenceMetrics | None
) -> InferenceMetrics:
    """Requests, errors and latencies of the last hour over all containers, by Modal; tokens and the time to the first
    one by vLLM, which knows of its own container only, so `engine` is None unless there is just one."""
    failed = stats.input_failure_count + stats.input_timeout_count
    return InferenceMetrics(
        requests=stats.input_success_count + failed,
        errors=failed,
        latency_p50_ms=_milliseconds(stats.input_percentile_stats, 50),
        latency_p95_ms=_milliseconds(stats.input_percentile_stats, 95),
        first_token_p50_ms=engine.first_token_p50_ms if engine else None,
        prompt_tokens=engine.prompt_tokens if engine else None,
        completion_tokens=engine.completion_tokens if engine else None,
        queue=backlog,
        replicas=runners,
    )


def _milliseconds(distributions: Mapping[str, Any], percentile: float) -> float | None:
    found = distributions.get(_LATENCY)
    values = [each.value for each in found.percentiles if each.percentile == percentile] if found else []
    return round(values[0] * 1000, 3) if values else None
