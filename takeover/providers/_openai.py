"""Requests of an OpenAI-style server with vLLM's adapter routes, and what its answers mean. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from takeover.errors import Refused, VendorError
from takeover.providers._http import Request

__all__ = [
    "ServedAdapter",
    "ServedBase",
    "Server",
    "build_chat",
    "build_health",
    "build_load",
    "build_metrics",
    "build_models",
    "build_question",
    "build_unload",
    "parse_adapters",
    "parse_bases",
    "parse_chat",
    "parse_completion",
]


@dataclass(frozen=True)
class Server:
    """Where it listens: `root` is without `/v1` (`http://127.0.0.1:8000`).

    `admin` is the key for its adapter routes, where that is another one; SGLang has these routes without `/v1`.
    """

    root: str
    key: SecretStr | None
    called: str = "the local server"
    admin: SecretStr | None = None
    adapter_routes: str = "/v1"

    def request(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, timeout_s: float = 10
    ) -> Request:
        return Request(method, f"{self.root}{path}", self.called, key=self.key, body=body, timeout_s=timeout_s)

    def adapter_request(self, path: str, body: Mapping[str, Any], *, timeout_s: float) -> Request:
        route = f"{self.root}{self.adapter_routes}{path}"
        return Request("POST", route, self.called, key=self.admin or self.key, body=body, timeout_s=timeout_s)


@dataclass(frozen=True)
class ServedAdapter:
    """One adapter as `/v1/models` has it; `digest` and `retiring` only where the server is our own.

    `root` is the path that it was loaded from.
    """

    name: str
    digest: str | None = None
    retiring: bool = False
    root: str = ""


@dataclass(frozen=True)
class ServedBase:
    """A base as `/v1/models` has it: the name that it goes by, and where it was loaded from (a path, a Hub id)."""

    name: str
    root: str


def build_health(server: Server) -> Request:
    return server.request("GET", "/health", timeout_s=5)


def build_models(server: Server) -> Request:
    return server.request("GET", "/v1/models")


def build_metrics(server: Server) -> Request:
    return server.request("GET", "/metrics")


def build_load(server: Server, name: str, path: str) -> Request:
    return server.adapter_request("/load_lora_adapter", {"lora_name": name, "lora_path": path}, timeout_s=120)


def build_unload(server: Server, name: str, drain_s: int | None) -> Request:
    """`drain_s` is our own server's extension: it answers so much longer, then goes. None leaves it out (vLLM)."""
    drain = {} if drain_s is None else {"drain_seconds": drain_s}
    return server.adapter_request("/unload_lora_adapter", {"lora_name": name, **drain}, timeout_s=60)


def build_question(server: Server, model: str) -> Request:
    """The shortest question that makes the adapter compute; not a chat, because a base may have no chat template."""
    body = {"model": model, "prompt": "Hello", "max_tokens": 1, "temperature": 0}
    return server.request("POST", "/v1/completions", body=body, timeout_s=120)


def build_chat(server: Server, model: str, prompt: str, options: Mapping[str, Any]) -> Request:
    """One turn; `options` are OpenAI's, `model` and `messages` among them win."""
    if options.get("stream"):
        raise Refused(
            "an answer as one text cannot be streamed", fix="Use `takeover.Client.stream`.", where="options.stream"
        )
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], **options}
    return server.request("POST", "/v1/chat/completions", body=body, timeout_s=600)


def parse_completion(answer: Mapping[str, Any]) -> str:
    """The first choice's text, which may be empty; VendorError when there is none."""
    try:
        text = answer["choices"][0]["text"]
    except (KeyError, IndexError, TypeError):
        text = None
    if not isinstance(text, str):
        raise VendorError("the server's answer holds no text", why=f"Its fields: {', '.join(sorted(answer))}.")
    return text


def parse_chat(answer: Mapping[str, Any]) -> str:
    """The first choice's text; VendorError when there is none."""
    try:
        text = answer["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        text = None
    if not isinstance(text, str):
        raise VendorError("the server's answer holds no text", why=f"Its fields: {', '.join(sorted(answer))}.")
    return text


def parse_adapters(answer: Mapping[str, Any]) -> tuple[ServedAdapter, ...]:
    """The adapters of `/v1/models`: entries with a parent, the base being the one without."""
    return tuple(_adapter(entry) for entry in _entries(answer) if _is_adapter(entry))


def parse_bases(answer: Mapping[str, Any]) -> tuple[ServedBase, ...]:
    """The base of `/v1/models`, once for each name that it goes by."""
    return tuple(
        ServedBase(str(entry["id"]), str(entry.get("root") or ""))
        for entry in _entries(answer)
        if not _is_adapter(entry)
    )


def _entries(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    entries = answer.get("data")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and "id" in entry for entry in entries):
        raise VendorError("the server's list of models is none", why=f"Its fields: {', '.join(sorted(answer))}.")
    return entries


def _is_adapter(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("parent") or entry.get("takeover"))


def _adapter(entry: Mapping[str, Any]) -> ServedAdapter:
    ours = entry.get("takeover") or {}
    return ServedAdapter(
        str(entry["id"]), ours.get("digest"), ours.get("state") == "retiring", str(entry.get("root") or "")
    )
