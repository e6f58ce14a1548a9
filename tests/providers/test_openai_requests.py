"""Requests to an OpenAI-style server with vLLM's adapter routes, and what its answers mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from takeover.errors import Refused, VendorError
from takeover.providers._http import Request
from takeover.providers._openai import (
    ServedAdapter,
    Server,
    build_chat,
    build_load,
    build_question,
    build_unload,
    parse_adapters,
)

KEY = SecretStr("hush")
SERVER = Server("http://127.0.0.1:8000", KEY)


def sent(path: str, body: dict[str, Any], timeout_s: float) -> Request:
    return Request("POST", f"http://127.0.0.1:8000{path}", "the local server", KEY, body, timeout_s)


@dataclass(frozen=True)
class Building:
    id: str
    request: Request
    wanted: Request


BUILDINGS = [
    Building(
        "loading names the adapter and its folder",
        build_load(SERVER, "a@1", "/a"),
        sent("/v1/load_lora_adapter", {"lora_name": "a@1", "lora_path": "/a"}, 120),
    ),
    Building(
        "unloading tells our own server how long to drain",
        build_unload(SERVER, "a@1", 30),
        sent("/v1/unload_lora_adapter", {"lora_name": "a@1", "drain_seconds": 30}, 60),
    ),
    Building(
        "unloading tells vLLM only what it knows",
        build_unload(SERVER, "a@1", None),
        sent("/v1/unload_lora_adapter", {"lora_name": "a@1"}, 60),
    ),
    Building(
        "the first question needs no chat template",
        build_question(SERVER, "a@1"),
        sent("/v1/completions", {"model": "a@1", "prompt": "Hello", "max_tokens": 1, "temperature": 0}, 120),
    ),
    Building(
        "a chat is one turn, and options go along",
        build_chat(SERVER, "a@1", "Hi", {"max_tokens": 4, "model": "b@2"}),
        sent(
            "/v1/chat/completions",
            {"model": "b@2", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4},
            600,
        ),
    ),
]


@pytest.mark.parametrize("building", BUILDINGS, ids=lambda building: building.id)
def test_a_request_is_built_whole(building: Building) -> None:
    assert building.request == building.wanted


def test_a_request_shows_no_key() -> None:
    assert "hush" not in repr(build_load(SERVER, "a@1", "/a"))


def test_one_text_cannot_be_a_stream() -> None:
    with pytest.raises(Refused, match="cannot be streamed"):
        build_chat(SERVER, "a@1", "Hi", {"stream": True})


def test_adapters_are_told_from_the_base_and_the_retiring_from_the_ready() -> None:
    entries = [
        {"id": "tiny", "parent": None},
        {"id": "a@1", "parent": "tiny"},
        {"id": "b@2", "parent": "tiny", "takeover": {"digest": "sha256:2", "state": "ready"}},
        {"id": "c@3", "parent": "tiny", "takeover": {"digest": "sha256:3", "state": "retiring"}},
    ]
    assert parse_adapters({"data": entries}) == (
        ServedAdapter("a@1"),
        ServedAdapter("b@2", "sha256:2"),
        ServedAdapter("c@3", "sha256:3", retiring=True),
    )


@pytest.mark.parametrize("answer", [{}, {"data": "none"}, {"data": [{"name": "a"}]}], ids=["empty", "no list", "no id"])
def test_a_list_of_models_that_is_none_is_the_vendor_s_failure(answer: dict[str, Any]) -> None:
    with pytest.raises(VendorError, match="list of models is none"):
        parse_adapters(answer)
