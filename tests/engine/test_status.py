"""What the state says, and whether the endpoint answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from takeover.engine.state import Pending, pending_creates
from takeover.engine.status import Status, ask_health, build_status

ENDPOINT = {"url": "http://127.0.0.1:8000/v1", "model": "a@3fa9c1d20b77", "digest": "sha256:3fa9"}
STATE = {
    "manifest": {"time": "2026-11-24T22:31:12.96985182Z"},
    "resources": [{"urn": "urn:a::x"}, {"urn": "urn:b::y"}],
    "pending_operations": [
        {"type": "creating", "resource": {"urn": "urn:p::new", "type": "t:i:E", "inputs": {"provider": "local"}}},
        {"type": "updating", "resource": {"urn": "urn:p::old", "type": "t:i:E"}},
    ],
}


def test_what_was_begun_is_read_from_the_state() -> None:
    assert pending_creates(STATE) == [Pending("t:i:E", "new", {"provider": "local"})]
    assert pending_creates({"pending_operations": None}) == []


def test_a_stack_that_answers() -> None:
    status = build_status("dev", ENDPOINT, STATE, answers=True, health="answers, in 3 ms")
    assert str(status) == (
        "dev: up, 2 resources, state of 2026-11-24 22:31:12\n"
        "  unfinished: new\n"
        "  url     http://127.0.0.1:8000/v1\n"
        "  model   a@3fa9c1d20b77\n"
        "  digest  sha256:3fa9\n"
        "  health  answers, in 3 ms"
    )


def test_a_stack_that_does_not_answer_says_what_to_type() -> None:
    status = build_status("dev", ENDPOINT, {}, answers=False, health="does not answer (ConnectError)")
    assert status.health == "does not answer (ConnectError); takeover refresh --stack dev, then takeover up --stack dev"


def test_a_stack_that_is_not_up() -> None:
    status = build_status("dev", None, {}, answers=False, health="")
    assert status == Status("dev", up=False, answers=False, health="")
    assert str(status) == "dev: not up. To put it up: takeover up --stack dev"


def test_a_stack_that_is_half_up_says_what_its_state_holds() -> None:
    assert str(build_status("dev", None, STATE, answers=False, health="")) == (
        "dev: not up, but its state of 2026-11-24 22:31:12 holds 2 resources\n"
        "  unfinished: new\n"
        "  takeover up --stack dev goes on, takeover destroy --stack dev removes them"
    )


@contextmanager
def answering(code: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on the test's screen."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


@dataclass(frozen=True)
class Health:
    id: str
    code: int
    answers: bool
    words: str


HEALTH = (
    Health("a server that is ready", 200, answers=True, words="answers, in "),
    Health("a server that loads its base", 503, answers=False, words="still loading"),
    Health("something else", 404, answers=False, words="answers with HTTP 404"),
)


@pytest.mark.parametrize("case", HEALTH, ids=lambda case: case.id)
def test_health_is_asked_at_the_servers_root(case: Health) -> None:
    with answering(case.code) as url:
        answers, words = ask_health(url)
    assert answers is case.answers
    assert words.startswith(case.words)


def test_a_dead_server_does_not_answer() -> None:
    with answering(200) as url:
        pass
    assert ask_health(url) == (False, "does not answer (ConnectError)")
