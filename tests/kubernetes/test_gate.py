"""The gate by a real nginx: what it lets through, what it does not, and how it passes on an answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from gate_ground import Engine, Gate, engine, gate
from kube_servings import GIVEN

from takeover.kubernetes import names

CLIENT = httpx.Client(trust_env=False, timeout=10)


@dataclass(frozen=True)
class Ground:
    gate: Gate
    engine: Engine


@pytest.fixture(scope="module")
def ground(nginx: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("gate")
    with engine() as found, gate(nginx, GIVEN["scale-to-zero"].serving(), folder, found.port) as before:
        yield Ground(before, found)


@dataclass(frozen=True)
class Ask:
    id: str
    method: str
    target: str
    status: int
    port: int = names.GATE_PORT


ASKED = (
    Ask("the list of models", "GET", "/v1/models", 200),
    Ask("the list of models with a query", "GET", "/v1/models?a=b", 200),
    Ask("health, without a key", "GET", "/health", 200),
    Ask("a chat by GET", "GET", "/v1/chat/completions", 405),
    Ask("inference without a key", "POST", "/invocations", 404),
    Ask("the metrics", "GET", "/metrics", 404),
    Ask("the metrics behind dots that nginx removes", "GET", "/v1/models/../../metrics", 404),
    Ask("a listed path that the engine would take for the metrics", "GET", "/metrics/../v1/models", 200),
    Ask("the same in other letters", "GET", "/%6d%65trics", 404),
    Ask("a listed path and more", "GET", "/v1/models/tone", 404),
    Ask("an absolute address", "GET", "http://pod/metrics", 404),
    Ask("loading an adapter", "POST", "/v1/load_lora_adapter", 404),
    Ask("the tokenizer", "POST", "/tokenize", 404),
    Ask("putting the engine to sleep", "POST", "/sleep", 404),
    Ask("ending a drain of nodes", "POST", "/scale_elastic_ep", 404),
    Ask("the root", "GET", "/", 404),
    Ask("the metrics at their own port", "GET", "/metrics", 200, names.METRICS_PORT),
    Ask("a chat at the metrics' port", "POST", "/v1/chat/completions", 404, names.METRICS_PORT),
    Ask("inference at the metrics' port", "POST", "/invocations", 404, names.METRICS_PORT),
    Ask("the metrics at the gateway's port", "GET", "/metrics", 200, names.POOL_PORT),
    Ask("inference without a key at the gateway's port", "POST", "/invocations", 404, names.POOL_PORT),
)


@pytest.mark.parametrize("ask", ASKED, ids=lambda ask: ask.id)
def test_only_what_is_listed_reaches_the_engine(ground: Ground, ask: Ask) -> None:
    ground.engine.asked.clear()
    assert ground.gate.ask_raw(ask.method, ask.target, ask.port) == ask.status
    listed = {"GET /v1/models", "GET /v1/models?a=b", "GET /health", "GET /metrics"}
    assert set(ground.engine.asked) <= listed
    assert bool(ground.engine.asked) == (ask.status == 200)


def test_the_engine_is_asked_the_listed_path_and_not_what_was_sent(ground: Ground) -> None:
    ground.engine.asked.clear()
    ground.gate.ask_raw("GET", "/metrics/../v1/models")
    assert ground.engine.asked == ["GET /v1/models"]


def test_tokens_go_out_as_they_come_and_nothing_of_a_request_is_logged(ground: Ground) -> None:
    ground.engine.second.clear()
    ground.engine.headers.clear()
    url = f"{ground.gate.url()}/v1/chat/completions?prompt=private"
    headers = {"Authorization": "Bearer a-private-key", "X-Request-Id": "chosen-by-the-caller"}
    with CLIENT.stream("POST", url, json={"messages": "private words"}, headers=headers) as answer:
        pieces = answer.iter_raw()
        assert next(pieces) == b"first "
        ground.engine.second.set()
        assert b"".join(pieces) == b"second"
    assert ground.engine.headers[0]["Authorization"] == "Bearer a-private-key"
    assert "private" not in ground.gate.log
    assert '"path":"/v1/chat/completions","status":200' in ground.gate.log


def test_a_request_that_is_too_large_ends_at_the_gate(ground: Ground) -> None:
    ground.engine.asked.clear()
    answer = CLIENT.post(f"{ground.gate.url()}/v1/completions", content=b"x" * (9 * 2**20))
    assert answer.status_code == 413
    assert ground.engine.asked == []


def test_without_an_engine_it_is_not_healthy_but_alive(nginx: str, tmp_path: Path) -> None:
    with gate(nginx, GIVEN["minimal"].serving(), tmp_path, engine_port=9) as alone:
        watch = names.METRICS_PORT
        assert alone.ask_raw("GET", "/health", watch) == 502
        assert alone.ask_raw("GET", "/gate", watch) == 200
