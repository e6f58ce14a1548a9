"""Prometheus text of a serving engine as figures. Pure.

vLLM's names are those of v1/metrics/loggers.py (0.32 and 0.33, read 2026-11), SGLang's those of
srt/observability/metrics_collector.py (0.5.23, read 2026-11-24). Both count whatever the server does, for whom ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from takeover.providers._base import InferenceMetrics

__all__ = ["SGLANG", "VLLM", "MetricNames", "parse_vllm_metrics", "quantile"]


@dataclass(frozen=True)
class MetricNames:
    """What an engine calls its figures. Where `error_reason` is set, `requests` counts errors too, under that label."""

    requests: str
    latency: str
    to_first: str
    prompt_tokens: str
    completion_tokens: str
    queue: str
    error_reason: str = ""


VLLM = MetricNames(
    requests="vllm:request_success_total",
    latency="vllm:e2e_request_latency_seconds",
    to_first="vllm:time_to_first_token_seconds",
    prompt_tokens="vllm:prompt_tokens_total",
    completion_tokens="vllm:generation_tokens_total",
    queue="vllm:num_requests_waiting",
    error_reason="error",
)
SGLANG = MetricNames(
    requests="sglang:num_requests_total",
    latency="sglang:e2e_request_latency_seconds",
    to_first="sglang:time_to_first_token_seconds",
    prompt_tokens="sglang:prompt_tokens_total",
    completion_tokens="sglang:generation_tokens_total",
    queue="sglang:num_queue_reqs",
)


@dataclass
class _Read:
    """Samples of one page, summed over their labels; `buckets` maps a histogram to bound -> cumulated count."""

    sums: dict[str, float] = field(default_factory=dict)
    buckets: dict[str, dict[float, float]] = field(default_factory=dict)
    by_reason: dict[tuple[str, str], float] = field(default_factory=dict)

    def add(self, name: str, labels: dict[str, str], value: float) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + value
        reason = name, labels.get("finished_reason", "")
        self.by_reason[reason] = self.by_reason.get(reason, 0.0) + value
        if name.endswith("_bucket"):
            bounds = self.buckets.setdefault(name.removesuffix("_bucket"), {})
            bound = float(labels["le"])
            bounds[bound] = bounds.get(bound, 0.0) + value


def _read(page: str) -> _Read:
    read = _Read()
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            read.add(sample.name, sample.labels, sample.value)
    return read


def parse_vllm_metrics(*pages: str, names: MetricNames = VLLM) -> InferenceMetrics:
    """The figures of `/metrics` pages, one a replica, summed; a figure that one of them does not hold is None.

    ValueError when one is no such page.
    """
    reads = [_read(page) for page in pages]
    return InferenceMetrics(
        requests=_sum([read.sums.get(names.requests) for read in reads]),
        errors=_sum([read.by_reason.get((names.requests, names.error_reason)) for read in reads])
        if names.error_reason
        else None,
        latency_p50_ms=_milliseconds(reads, names.latency, 0.5),
        latency_p95_ms=_milliseconds(reads, names.latency, 0.95),
        first_token_p50_ms=_milliseconds(reads, names.to_first, 0.5),
        prompt_tokens=_sum([read.sums.get(names.prompt_tokens) for read in reads]),
        completion_tokens=_sum([read.sums.get(names.completion_tokens) for read in reads]),
        queue=_sum([read.sums.get(names.queue) for read in reads]),
        replicas=len(pages),
    )


def _sum(values: Sequence[float | None]) -> int | None:
    known = [value for value in values if value is not None]
    return int(sum(known)) if known and len(known) == len(values) else None


def _milliseconds(reads: Sequence[_Read], histogram: str, share: float) -> float | None:
    """The quantile of all replicas' observations together: their buckets are the same, so they add up."""
    if not all(histogram in read.buckets for read in reads):
        return None
    together: dict[float, float] = {}
    for read in reads:
        for bound, count in read.buckets[histogram].items():
            together[bound] = together.get(bound, 0.0) + count
    seconds = quantile(together.items(), share)
    return None if seconds is None else round(seconds * 1000, 3)


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
