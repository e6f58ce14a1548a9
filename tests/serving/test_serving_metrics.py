"""The metrics page: vLLM's names, readable by Prometheus' own parser, and true."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from live import LiveServer, live_server
from prometheus_client.parser import text_string_to_metric_families

from takeover.providers._metrics import parse_vllm_metrics

FAMILIES = {
    "vllm:e2e_request_latency_seconds": "histogram",
    "vllm:generation_tokens": "counter",
    "vllm:inter_token_latency_seconds": "histogram",
    "vllm:kv_cache_usage_perc": "gauge",
    "vllm:num_requests_running": "gauge",
    "vllm:num_requests_waiting": "gauge",
    "vllm:prompt_tokens": "counter",
    "vllm:request_queue_time_seconds": "histogram",
    "vllm:request_success": "counter",
    "vllm:time_to_first_token_seconds": "histogram",
}


@pytest.fixture(scope="module")
def fresh() -> Iterator[LiveServer]:
    with live_server() as running:
        yield running


def page(server: LiveServer) -> str:
    with server.http() as http:
        answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return answer.text


def samples(server: LiveServer) -> dict[tuple[str, str], float]:
    """(name, finished_reason or "") -> value."""
    return {
        (sample.name, sample.labels.get("finished_reason", "")): sample.value
        for family in text_string_to_metric_families(page(server))
        for sample in family.samples
    }


def test_the_families_are_those_of_vllm(fresh: LiveServer) -> None:
    families = {
        family.name: family.type
        for family in text_string_to_metric_families(page(fresh))
        if not family.name.endswith("_created")
    }
    assert families == FAMILIES


def test_every_sample_names_the_model(fresh: LiveServer) -> None:
    labels = {
        (sample.labels["model_name"], sample.labels["engine"])
        for family in text_string_to_metric_families(page(fresh))
        for sample in family.samples
    }
    assert labels == {("tiny", "0")}


def test_the_figures_are_those_of_the_requests(fresh: LiveServer) -> None:
    before = samples(fresh)
    body = {"prompt": [10, 11, 12], "max_tokens": 5, "ignore_eos": True}
    with fresh.http() as http:
        for _ in range(3):
            http.post("/v1/completions", json=body)
        http.post("/v1/completions", json={**body, "max_tokens": 9, "stop_token_ids": list(range(260))})
    grown = {key: value - before[key] for key, value in samples(fresh).items()}
    expected = {
        ("vllm:prompt_tokens_total", ""): 12,
        ("vllm:generation_tokens_total", ""): 16,
        ("vllm:request_success_total", "length"): 3,
        ("vllm:request_success_total", "stop"): 1,
        ("vllm:request_success_total", "abort"): 0,
        ("vllm:request_success_total", "error"): 0,
        ("vllm:time_to_first_token_seconds_count", ""): 4,
        ("vllm:inter_token_latency_seconds_count", ""): 12,
        ("vllm:e2e_request_latency_seconds_count", ""): 4,
        ("vllm:request_queue_time_seconds_count", ""): 4,
        ("vllm:num_requests_running", ""): 0,
        ("vllm:num_requests_waiting", ""): 0,
    }
    assert {key: grown[key] for key in expected} == expected


def test_gauges_tell_who_runs_and_who_waits(fresh: LiveServer) -> None:
    body = {"prompt": "hi", "max_tokens": 2000, "ignore_eos": True, "stream": True}
    with fresh.http() as http, http.stream("POST", "/v1/completions", json=body) as first:
        pieces = first.iter_bytes()
        next(pieces)
        with fresh.held():
            running = samples(fresh)
            with http.stream("POST", "/v1/completions", json=body):
                waiting = samples(fresh)
    assert running["vllm:num_requests_running", ""] == 1
    assert 0 < running["vllm:kv_cache_usage_perc", ""] < 1
    assert waiting["vllm:num_requests_waiting", ""] == 1


def test_the_provider_reads_them(fresh: LiveServer) -> None:
    with fresh.http() as http:
        http.post("/v1/completions", json={"prompt": "hi", "max_tokens": 2})
    metrics = parse_vllm_metrics(page(fresh))
    assert metrics.requests is not None
    assert metrics.first_token_p50_ms is not None
    assert metrics.requests > 0
    assert metrics.first_token_p50_ms > 0
