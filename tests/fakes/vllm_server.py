"""vLLM servers that somebody else runs: replicas on the loopback, and a balancer that asks them in turn.

Routes, statuses, bodies and metrics are those of vLLM 0.32, recorded from the real server on 2026-11-24 (and asked for
again in tests/dedicated_vllm/test_real_vllm.py); `engine="sglang"` is SGLang 0.5.23 by its source. It computes nothing
and is stricter than the real one: a field, a header, a method or a path that is not described is answered, and noted in
`violations`, which tests hold to be empty.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fakes.vllm_routes import BASE, answer_to

KEY = "a-vllm-key-that-must-not-be-seen"


@dataclass(frozen=True)
class Failure:
    """One request answered otherwise. `status` None cuts the connection; `half` sends half of the body and cuts.

    With `carried_out` the request is done all the same, and only its answer is lost.
    """

    status: int | None
    body: str = '{"error": {"message": "no, says the server"}}'
    headers: Mapping[str, str] = field(default_factory=dict)
    half: bool = False
    carried_out: bool = False


@dataclass
class Replica:
    """One server. `adapters` maps a name to the path that it was loaded from; `busy` a name to when it last ran."""

    cluster: VllmCluster
    number: int
    adapters: dict[str, str] = field(default_factory=dict)
    busy: dict[str, float] = field(default_factory=dict)
    answered: int = 0
    is_up: bool = True

    def restart(self) -> None:
        """What was loaded at run time is gone, and /health is 200 all the same."""
        self.adapters.clear()
        self.busy.clear()
        self.answered = 0


class VllmCluster:
    """`with VllmCluster(replicas=2) as cluster:` serves until the block ends.

    `url` is the balancer's address (with one replica, its own); `urls` are those of the replicas. `failures` are used
    up in order, each by the next request that its key names: `(method, path)`, the path without `/v1`.
    """

    def __init__(self, *, replicas: int = 1, engine: str = "vllm", key: str | None = KEY, admin_key: str = "") -> None:
        self.engine = engine
        self.key = key
        self.admin_key = admin_key
        self.bases = {BASE: f"/models/{BASE}"}
        self.runtime_updates = True
        self.lora_enabled = True
        self.largest_rank = 64
        self.sees_files = True
        self.reads_paths = True
        self.tells_digest: str | None = None
        self.says_idle = True
        self.has_metrics = True
        self.mute: set[str] = set()
        self.failing_loads: str | None = None
        self.clock: Callable[[], float] = time.time
        self.failures: dict[tuple[str, str], list[Failure]] = {}
        self.violations: list[str] = []
        self.requests: list[tuple[int, str, str]] = []
        self.after: Callable[[str, str], None] = lambda _method, _path: None
        self.lock = threading.RLock()
        self.replicas = [Replica(self, number) for number in range(replicas)]
        self._turn = 0
        self._servers = [_Server(self, replica) for replica in self.replicas]
        self._balancer = _Server(self, None)

    @property
    def urls(self) -> list[str]:
        return [server.url for server in self._servers]

    @property
    def url(self) -> str:
        return self._balancer.url if len(self._servers) > 1 else self._servers[0].url

    def __enter__(self) -> VllmCluster:
        for server in (*self._servers, self._balancer):
            threading.Thread(target=server.serve_forever, args=(0.003,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for server in (*self._servers, self._balancer):
            server.shutdown()
            server.server_close()

    def next_replica(self) -> Replica:
        """Whom the balancer asks: the ones that are up, in turn."""
        with self.lock:
            up = [replica for replica in self.replicas if replica.is_up]
            self._turn += 1
            return up[self._turn % len(up)]

    def loaded(self) -> list[dict[str, str]]:
        """Name -> path, replica by replica."""
        return [dict(replica.adapters) for replica in self.replicas]

    def names(self) -> list[list[str]]:
        return [sorted(replica.adapters) for replica in self.replicas]

    def violate(self, what: str) -> None:
        self.violations.append(what)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, cluster: VllmCluster, replica: Replica | None) -> None:
        self.cluster = cluster
        self.replica = replica
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that was cut is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *_: object) -> None:
        """Not on the test's screen."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(self.server.cluster.clock(), usegmt=True)

    def do_GET(self) -> None:
        self._run("GET")

    def do_POST(self) -> None:
        self._run("POST")

    def do_DELETE(self) -> None:
        self._run("DELETE")

    def _run(self, method: str) -> None:
        cluster = self.server.cluster
        replica = self.server.replica or cluster.next_replica()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not replica.is_up:
            self._cut()
            return
        short = self.path.removeprefix("/v1")
        with cluster.lock:
            cluster.requests.append((replica.number, method, self.path))
            planned = cluster.failures.get((method, short))
            failure = planned.pop(0) if planned else None
            answer = (200, "", {})
            if failure is None or failure.carried_out:
                answer = answer_to(replica, method, self.path, dict(self.headers), body)
        if failure is not None:
            self._fail(failure)
        else:
            self._send(*answer)
        cluster.after(method, short)

    def _send(self, status: int, text: str, headers: Mapping[str, str]) -> None:
        data = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def _fail(self, failure: Failure) -> None:
        if failure.status is None:
            self._cut()
            return
        data = failure.body.encode()
        self.send_response(failure.status)
        for name, value in failure.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if failure.half else data)
        self.wfile.flush()
        if failure.half:
            self._cut()

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def vllm_cluster(**options: Any) -> Iterator[VllmCluster]:
    """A cluster that ends with the block, and whose violations fail the test."""
    with VllmCluster(**options) as cluster:
        yield cluster
    assert cluster.violations == []
