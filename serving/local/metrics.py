"""Prometheus metrics under vLLM's own names, so that one dashboard reads this tier and the real ones.

Names, labels and buckets: vllm/v1/metrics/loggers.py and vLLM's design document on metrics, read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serving.local.asks import Finish
from serving.local.rows import Row

__all__ = ["Metrics"]

_LABELS = ("model_name", "engine")
_REASONS = ("stop", "length", "abort", "error")
_FIRST_TOKEN_S = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
_BETWEEN_TOKENS_S = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)
_REQUEST_S = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0),
    *(40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)


class Metrics:
    """The scheduler's observer. As with vLLM `model_name` is the base, whichever adapter answered."""

    def __init__(self, model_name: str) -> None:
        self.registry = CollectorRegistry()
        self._labels = {"model_name": model_name, "engine": "0"}
        self._prompt_tokens = self._counter("prompt_tokens", "Number of prefill tokens processed.")
        self._generation_tokens = self._counter("generation_tokens", "Number of generation tokens processed.")
        self._success = Counter(
            "vllm:request_success",
            "Count of successfully processed requests.",
            (*_LABELS, "finished_reason"),
            registry=self.registry,
        )
        for reason in _REASONS:
            self._success.labels(**self._labels, finished_reason=reason)
        self._first_token = self._histogram("time_to_first_token", "time to first token", _FIRST_TOKEN_S)
        self._between = self._histogram("inter_token_latency", "inter-token latency", _BETWEEN_TOKENS_S)
        self._latency = self._histogram("e2e_request_latency", "e2e request latency", _REQUEST_S)
        self._queued = self._histogram("request_queue_time", "time spent in WAITING phase", _REQUEST_S)

    def watch(
        self, running: Callable[[], float], waiting: Callable[[], float], cache_usage: Callable[[], float]
    ) -> None:
        """Gauges are asked when somebody scrapes; `cache_usage` is a fraction, 1 means full."""
        self._gauge("num_requests_running", "Number of requests in model execution batches.", running)
        self._gauge("num_requests_waiting", "Number of requests waiting to be processed.", waiting)
        self._gauge("kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", cache_usage)

    def render(self) -> bytes:
        """The page for `/metrics`, in Prometheus' text format."""
        return generate_latest(self.registry)

    def prefilled(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._prompt_tokens.inc(len(row.prompt))
            if row.times.started is not None:
                self._queued.observe(row.times.started - row.times.queued)

    def token(self, row: Row, now: float) -> None:
        self._generation_tokens.inc()
        if row.times.last_token is None:
            self._first_token.observe(now - row.times.queued)
        else:
            self._between.observe(now - row.times.last_token)

    def finished(self, row: Row, finish: Finish, now: float) -> None:
        self._success.labels(**self._labels, finished_reason=finish.reason).inc()
        self._latency.observe(now - row.times.queued)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"vllm:{name}", text, _LABELS, registry=self.registry).labels(**self._labels)

    def _gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        gauge = Gauge(f"vllm:{name}", text, _LABELS, registry=self.registry)
        gauge.labels(**self._labels).set_function(value)

    def _histogram(self, name: str, what: str, buckets: Sequence[float]) -> Histogram:
        made = Histogram(
            f"vllm:{name}_seconds", f"Histogram of {what} in seconds.", _LABELS, registry=self.registry, buckets=buckets
        )
        return made.labels(**self._labels)
