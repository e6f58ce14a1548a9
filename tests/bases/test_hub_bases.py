"""Bases on the Hub: the real client against a small server that answers as the Hub's API does."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from takeover.bases import parse_base
from takeover.bases._hub import materialise_hub
from takeover.errors import AuthError, Refused, TakeoverError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REF = parse_base(f"hub:acme/base@{COMMIT}")
FILES = {
    "config.json": b"{}",
    "tokenizer.json": b'{"model": {}}',
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"\x80\x04N.",
    "modeling_acme.py": b"raise SystemExit",
    "consolidated.safetensors": b"weights again",
    "onnx/config.json": b"{}",
}


@dataclass
class Hub:
    """What the server holds, which error it gives in place of everything, and which files were fetched."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    error: tuple[int, str] | None = None
    fetched: list[str] = field(default_factory=list)
    undescribed: list[str] = field(default_factory=list)


def is_large(name: str) -> bool:
    return name.endswith((".safetensors", ".bin"))


def tree(files: dict[str, bytes]) -> bytes:
    """The answer of /api/models/{id}/tree/{revision}, as https://huggingface.co/.well-known/openapi.json has it."""
    entries = []
    for name, data in files.items():
        entry = {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
        lfs = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        entries.append({**entry, "lfs": lfs} if is_large(name) else entry)
    return json.dumps(entries).encode()


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.split("?")[0]
        name = path.removeprefix(f"/acme/base/resolve/{COMMIT}/")
        if self.hub.error:
            code, kind = self.hub.error
            self._send(code, b"{}", {"X-Error-Code": kind, "X-Error-Message": kind} if kind else {})
        elif path == f"/api/models/acme/base/tree/{COMMIT}":
            self._send(200, tree(self.hub.files), {})
        elif name in self.hub.files:
            data = self.hub.files[name]
            digest = hashlib.sha256(FILES[name]) if is_large(name) else hashlib.sha1(data)
            self.hub.fetched += [name] if self.command == "GET" else []
            self._send(200, data, {"X-Repo-Commit": COMMIT, "ETag": f'"{digest.hexdigest()}"'})
        else:
            self.hub.undescribed.append(path)
            self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"})

    def _send(self, code: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for key, value in {**headers, "Content-Length": str(len(body)), "Content-Type": "application/json"}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    state = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": state}))
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("HF_ENDPOINT", state.url)
    monkeypatch.setenv("TAKEOVER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(_http.time, "sleep", lambda _: None)  # the client waits before it tries again
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)


def quiet(_: str) -> None:
    """Hear nothing."""


def test_only_data_is_downloaded_and_only_once(hub: Hub, tmp_path: Path) -> None:
    said: list[str] = []
    first = materialise_hub(REF, said.append)
    hub.error = (503, "")
    second = materialise_hub(REF, said.append)
    assert (first, first[1], said) == (second, COMMIT, [f"downloading {REF} from the Hub"])
    assert (sorted(path.name for path in first[0].iterdir()), sorted(hub.fetched), hub.undescribed) == (
        ["config.json", "model.safetensors", "tokenizer.json"],
        ["config.json", "model.safetensors", "tokenizer.json"],
        [],
    )


def test_what_is_missing_from_the_hubs_cache_is_fetched_again(hub: Hub) -> None:
    folder, _ = materialise_hub(REF, quiet)
    blob = (folder / "model.safetensors").resolve()
    (folder / "model.safetensors").unlink()
    blob.unlink()
    again, _ = materialise_hub(REF, quiet)
    assert ((again / "model.safetensors").read_bytes(), hub.fetched.count("model.safetensors")) == (b"weights", 2)


def test_weights_that_are_not_what_the_hub_says_are_refused(hub: Hub) -> None:
    hub.files["model.safetensors"] = b"WEIGHTS"
    with pytest.raises(Refused, match=r"arrived damaged: model\.safetensors"):
        materialise_hub(REF, quiet)


def test_weights_that_are_pickles_only_are_refused(hub: Hub) -> None:
    del hub.files["model.safetensors"], hub.files["consolidated.safetensors"]
    with pytest.raises(Refused, match="holds no weights as safetensors"):
        materialise_hub(REF, quiet)
    assert "pytorch_model.bin" not in hub.fetched


@dataclass(frozen=True)
class Failure:
    id: str
    error: tuple[int, str]
    want: type[TakeoverError]
    words: str


@pytest.mark.parametrize(
    "case",
    [
        Failure("no such model", (404, "RepoNotFound"), Refused, "there is no such model, or it is private"),
        Failure("no such commit", (404, "RevisionNotFound"), Refused, "there is no such commit"),
        Failure("a gated model", (403, "GatedRepo"), AuthError, "is gated"),
        Failure("the Hub is down", (500, ""), Refused, "could not be downloaded"),
    ],
    ids=lambda case: case.id,
)
def test_what_the_hub_refuses_is_explained(hub: Hub, case: Failure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecretsecret")
    hub.error = case.error
    with pytest.raises(case.want, match=case.words) as refused:
        materialise_hub(REF, quiet)
    assert (type(refused.value), "hf_secret" in str(refused.value.parts())) == (case.want, False)


def test_without_a_network_it_is_refused_with_what_to_check(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Refused) as refused:
        materialise_hub(REF, quiet)
    assert refused.value.fix == "Check the network (and HF_ENDPOINT, HF_HUB_OFFLINE), then run the same command again."
