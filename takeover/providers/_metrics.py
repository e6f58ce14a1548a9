"""Prometheus text under vLLM's names (vLLM 0.33, v1/metrics/loggers.py, read 2026-11) as figures. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from takeover.providers._base import InferenceMetrics

__all__ = ["parse_vllm_metrics", "quantile"]

_E2E = "vllm:e2e_request_latency_seconds"
_FIRST = "vllm:time_to_first_token_seconds"


@dataclass
class _Read:
    """Samples of one page, summed over their labels; `buckets` maps a histogram to bound -> cumulated count."""

    sums: dict[str, float] = field(default_factory=dict)
    buckets: dict[str, dict[float, float]] = field(default_factory=dict)

    def count(self, name: str) -> int | None:
        value = self.sums.get(name)
        return None if value is None else int(value)

    def milliseconds(self, histogram: str, share: float) -> float | None:
        seconds = quantile(self.buckets.get(histogram, {}).items(), share)
        return None if seconds is None else round(seconds * 1000, 3)


def parse_vllm_metrics(text: str) -> InferenceMetrics:
    """The figures of a `/metrics` page; what the page does not hold is None. ValueError when it is no such page."""
    read = _Read()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            read.sums[sample.name] = read.sums.get(sample.name, 0.0) + sample.value
            if sample.name.endswith("_bucket"):
                bounds = read.buckets.setdefault(sample.name.removesuffix("_bucket"), {})
                bound = float(sample.labels["le"])
                bounds[bound] = bounds.get(bound, 0.0) + sample.value
    return InferenceMetrics(
        requests=read.count("vllm:request_success_total"),
        latency_p50_ms=read.milliseconds(_E2E, 0.5),
        latency_p95_ms=read.milliseconds(_E2E, 0.95),
        first_token_p50_ms=read.milliseconds(_FIRST, 0.5),
        prompt_tokens=read.count("vllm:prompt_tokens_total"),
        completion_tokens=read.count("vllm:generation_tokens_total"),
        queue=read.count("vllm:num_requests_waiting"),
        replicas=1,
    )


def quantile(buckets: Iterable[tuple[float, float]], share: float) -> float | None:
    """The value below which `share` of a histogram's observations lie, as Prometheus' histogram_quantile has it.

    `buckets` are (upper bound, cumulated count). Beyond the last finite bound the answer is that bound; None when
    nothing was observed.
    """
    ordered = sorted(buckets)
    if not ordered or ordered[-1][1] == 0:
        return None
    wanted = share * ordered[-1][1]
    lower, below = 0.0, 0.0
    for bound, count in ordered:
        if count >= wanted:
            if bound == float("inf"):
                return lower
            inside = count - below
            return lower + (bound - lower) * ((wanted - below) / inside if inside else 0.0)
        lower, below = bound, count
    return lower
