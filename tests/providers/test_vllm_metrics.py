"""vLLM's metrics page as figures."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from takeover.providers._base import InferenceMetrics
from takeover.providers._metrics import parse_vllm_metrics, quantile

# As vLLM 0.33 writes it (v1/metrics/loggers.py), shortened; two engines, whose figures are summed.
PAGE = """\
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="tiny"} 2.0
vllm:num_requests_waiting{engine="1",model_name="tiny"} 1.0
# TYPE vllm:prompt_tokens counter
vllm:prompt_tokens_total{engine="0",model_name="tiny"} 120.0
# TYPE vllm:generation_tokens counter
vllm:generation_tokens_total{engine="0",model_name="tiny"} 80.0
# TYPE vllm:request_success counter
vllm:request_success_total{engine="0",finished_reason="stop",model_name="tiny"} 8.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="tiny"} 2.0
# TYPE vllm:e2e_request_latency_seconds histogram
vllm:e2e_request_latency_seconds_bucket{engine="0",le="0.5",model_name="tiny"} 5.0
vllm:e2e_request_latency_seconds_bucket{engine="0",le="1.0",model_name="tiny"} 9.0
vllm:e2e_request_latency_seconds_bucket{engine="0",le="+Inf",model_name="tiny"} 10.0
vllm:e2e_request_latency_seconds_count{engine="0",model_name="tiny"} 10.0
vllm:e2e_request_latency_seconds_sum{engine="0",model_name="tiny"} 6.0
"""


def test_a_page_becomes_figures_and_what_it_lacks_is_none() -> None:
    assert parse_vllm_metrics(PAGE) == InferenceMetrics(
        requests=10,
        latency_p50_ms=500.0,
        latency_p95_ms=1000.0,
        prompt_tokens=120,
        completion_tokens=80,
        queue=3,
        replicas=1,
    )


def test_an_empty_page_has_no_figures() -> None:
    assert parse_vllm_metrics("") == InferenceMetrics(replicas=1)


@dataclass(frozen=True)
class Case:
    id: str
    buckets: tuple[tuple[float, float], ...]
    share: float
    value: float | None


INF = float("inf")
CASES = [
    Case("nothing observed", ((1.0, 0.0), (INF, 0.0)), 0.5, None),
    Case("no buckets", (), 0.5, None),
    Case("in the middle of a bucket", ((1.0, 0.0), (2.0, 10.0), (INF, 10.0)), 0.5, 1.5),
    Case("in the first bucket, which begins at zero", ((1.0, 10.0), (INF, 10.0)), 0.5, 0.5),
    Case("beyond the last bound", ((1.0, 1.0), (INF, 10.0)), 0.95, 1.0),
    Case("in any order", ((INF, 10.0), (2.0, 10.0), (1.0, 0.0)), 0.5, 1.5),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_share_of_a_histogram(case: Case) -> None:
    assert quantile(case.buckets, case.share) == case.value
