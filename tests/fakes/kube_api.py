"""A small API server on the loopback for the quick suite: server-side apply, lists by labels, scale, logs, pod proxy.

Paths, statuses and sentences are those of Kubernetes 1.36, held against the real one in tests/cluster. It is stricter:
objects are held against the published schemas (`kubernetes-validate`), and a request that it does not describe is
answered with an error and noted in `violations`. Behind it stand a Deployment controller and pods that answer as vLLM
does (kube_pods.py); one step of a roll-out is done at each look at a Deployment.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from fakes.kube_pods import Pods
from fakes.kube_store import Answer, Store, status

__all__ = ["TOKEN", "FakeKube"]

TOKEN = "a-kube-token-that-must-not-be-seen"


@dataclass
class FakeKube:
    """`url` is the server, `kubeconfig(folder)` writes the file. `denied` are pairs (verb, resource) that RBAC lacks.

    `failures` are answers for the next requests, in order: a status, or None for a cut connection.
    """

    namespaces: tuple[str, ...] = ("default", "kube-system")
    denied: set[tuple[str, str]] = field(default_factory=set)
    failures: list[int | None] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __enter__(self) -> FakeKube:
        self.store = Store(self)
        self.pods = Pods(self.store)
        self.lock = threading.RLock()
        self.server = _Server(self)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self.server.shutdown()
        self.server.server_close()

    def kubeconfig(self, folder: Path, **user: Any) -> Path:
        """A kubeconfig with the one context `fake`."""
        folder.mkdir(parents=True, exist_ok=True)
        context = {"cluster": "fake", "user": "fake"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "fake", "user": user or {"token": TOKEN}}],
            "contexts": [{"name": "fake", "context": context}],
            "current-context": "fake",
        }
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer | None:
        """What the server says; None cuts the connection."""
        split = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        with self.lock:
            self.requests.append(f"{method} {split.path}")
            if split.path.startswith("/svc/"):
                return self.pods.asked(split.path, headers, body)
            if self.failures:
                failure = self.failures.pop(0)
                return None if failure is None else status(failure, "Fake", "no, says the server")
            if headers.get("authorization") != f"Bearer {TOKEN}":
                return status(401, "Unauthorized", "Unauthorized")
            served = self.pods.answer(method, split.path, query)
            return served or self.store.answer(method, split.path, query, headers, json.loads(body or b"null"))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, fake: FakeKube) -> None:
        self.fake = fake
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else headers and body wait 40 ms for each other
    wbufsize = -1
    server: _Server

    def log_message(self, *_: object) -> None:
        return

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.fake.answer(self.command, self.path, headers, body)
        if answer is None:
            self.close_connection = True
            return
        text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/plain" if isinstance(answer.body, str) else "application/json")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def __getattr__(self, name: str) -> Any:
        """Every method is served alike (`do_GET` and so on)."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)
