"""Who may ask, and how much; who hangs up stops costing."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from live import KEY, LiveServer, live_server
from openai import AuthenticationError, RateLimitError

from serving.local.engine import Limits

ROUTES = [
    ("GET", "/v1/models"),
    ("GET", "/metrics"),
    ("GET", "/version"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/load_lora_adapter"),
    ("POST", "/v1/unload_lora_adapter"),
    ("GET", "/no/such/path"),
]
WRONG = {
    "no key": {},
    "another key": {"Authorization": "Bearer another"},
    "the key's beginning": {"Authorization": f"Bearer {KEY[:-1]}"},
    "the key and more": {"Authorization": f"Bearer {KEY}x"},
    "the key by another scheme": {"Authorization": f"Basic {KEY}"},
    "no key after the scheme": {"Authorization": "Bearer"},
    "bytes that are no text": {"Authorization": b"Bearer \xff\xfe"},
}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_but_health_wants_the_key(server: LiveServer, method: str, path: str) -> None:
    answer = httpx.request(method, server.url + path)
    assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_key_is_refused(server: LiveServer, headers: dict[str, str]) -> None:
    assert httpx.get(f"{server.url}/v1/models", headers=headers).status_code == 401


def test_health_is_open(server: LiveServer) -> None:
    assert httpx.get(f"{server.url}/health").json() == {"status": "ready"}


def test_the_sdk_calls_it_an_authentication_error(server: LiveServer) -> None:
    with pytest.raises(AuthenticationError):
        server.openai().with_options(api_key="another").models.list()


def test_a_body_that_is_too_large(server: LiveServer) -> None:
    with server.http() as http:
        said = http.post("/v1/completions", json={"prompt": "x" * 5_000_000})
        unsaid = http.post("/v1/completions", content=(b"x" * 500_000 for _ in range(10)))
    assert (said.status_code, unsaid.status_code) == (413, 413)


@pytest.fixture(scope="module")
def narrow() -> Iterator[LiveServer]:
    """One row at a time, and one that waits."""
    with live_server(Limits(max_batch=1, max_queue=1)) as running:
        yield running


@contextmanager
def stream(server: LiveServer, *, begun: bool = False) -> Iterator[int]:
    """A request of two thousand tokens that was accepted, or has begun to answer; its status."""
    body = {"prompt": "hi", "max_tokens": 2000, "ignore_eos": True, "stream": True}
    with server.http() as http, http.stream("POST", "/v1/completions", json=body) as answer:
        pieces = answer.iter_bytes()  # closes the connection when it is let go of
        if begun:
            next(pieces)
        yield answer.status_code


def aborted(server: LiveServer) -> float:
    labels = {"model_name": "tiny", "engine": "0", "finished_reason": "abort"}
    return server.engine.metrics.registry.get_sample_value("vllm:request_success_total", labels) or 0.0


def wait_until_idle(server: LiveServer) -> None:
    give_up_at = time.monotonic() + 30
    while server.engine.scheduler.running + server.engine.scheduler.waiting:
        assert time.monotonic() < give_up_at, "a row still runs"
        time.sleep(0.005)


def test_a_client_that_hangs_up_frees_its_row(narrow: LiveServer) -> None:
    before = aborted(narrow)
    with stream(narrow, begun=True):
        pass
    wait_until_idle(narrow)
    assert aborted(narrow) == before + 1


def test_a_client_that_waits_for_the_whole_answer_may_hang_up_too(narrow: LiveServer) -> None:
    before = aborted(narrow)
    body = json.dumps({"prompt": "hi", "max_tokens": 2000, "ignore_eos": True})
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json"
    address = httpx.URL(narrow.url)
    with narrow.held(), socket.create_connection((address.host, address.port)) as connection:
        connection.sendall(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        while not narrow.engine.scheduler.waiting:
            time.sleep(0.005)
    wait_until_idle(narrow)
    assert aborted(narrow) == before + 1


def test_a_full_queue_says_when_to_come_again(narrow: LiveServer) -> None:
    with narrow.held(), stream(narrow), stream(narrow):
        with narrow.http() as http:
            answer = http.post("/v1/completions", json={"prompt": "hi"})
        with pytest.raises(RateLimitError):
            narrow.openai().completions.create(model="tiny", prompt="hi")
    wait_until_idle(narrow)
    assert answer.status_code == 429
    assert answer.json()["error"]["type"] == "TooManyRequestsError"
    assert 1 <= int(answer.headers["retry-after"]) <= 60


def test_who_hangs_up_in_the_queue_gives_the_place_to_another(narrow: LiveServer) -> None:
    with stream(narrow, begun=True):
        with stream(narrow):
            waited = narrow.engine.scheduler.waiting
        while narrow.engine.scheduler.waiting:
            time.sleep(0.005)
        with stream(narrow) as status:
            pass
    wait_until_idle(narrow)
    assert (waited, status) == (1, 200)
