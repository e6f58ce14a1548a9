"""The engines' metrics by what they mean, and the queries that scaling, alerts and the dashboard share.

vLLM: vllm/v1/metrics/loggers.py of 0.32; SGLang: sglang/srt/metrics/collector.py (read 2026-11-25). Both label with
`model_name`, the served base; the namespace comes from the PodMonitor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from takeover.kubernetes._engine import served_base
from takeover.kubernetes.serving import Serving
from takeover.providers._metrics import SGLANG, VLLM
from takeover.providers._metrics import MetricNames as Counted

__all__ = ["MetricNames", "engine_metrics", "scope", "summed"]


@dataclass(frozen=True)
class MetricNames:
    """`kv_cache` is a share between 0 and 1; the durations are histograms in seconds."""

    waiting: str
    running: str
    kv_cache: str
    until_first: str
    between_two: str
    prompt_tokens: str
    answer_tokens: str


def _with(counted: Counted, running: str, kv_cache: str, between_two: str) -> MetricNames:
    """What `takeover metrics` reads too, by the names there."""
    return MetricNames(
        waiting=counted.queue,
        running=running,
        kv_cache=kv_cache,
        until_first=counted.to_first,
        between_two=between_two,
        prompt_tokens=counted.prompt_tokens,
        answer_tokens=counted.completion_tokens,
    )


_METRICS: Mapping[str, MetricNames] = {
    "vllm": _with(
        VLLM,
        running="vllm:num_requests_running",
        kv_cache="vllm:kv_cache_usage_perc",
        between_two="vllm:inter_token_latency_seconds",
    ),
    "sglang": _with(
        SGLANG,
        running="sglang:num_running_reqs",
        kv_cache="sglang:token_usage",
        between_two="sglang:inter_token_latency_seconds",
    ),
}


def engine_metrics(serving: Serving) -> MetricNames:
    return _METRICS[serving.options.engine]


def scope(serving: Serving) -> str:
    """The labels by which this endpoint's series are found."""
    return f'namespace="{serving.namespace}",model_name="{served_base(serving)}"'


def summed(serving: Serving, metric: str) -> str:
    """One figure for all pods: KEDA takes a query with one element only."""
    return f"sum({metric}{{{scope(serving)}}})"
