"""vLLM servers that somebody else runs: replicas on the loopback, and a balancer that asks them in turn.

Routes, statuses, bodies and metrics are those of vLLM 0.32, recorded from the real server on 2026-11-24 (and asked for
again in tests/dedicated_vllm/test_real_vllm.py); `engine="sglang"` is SGLang 0.5.23 by its source. It computes nothing
and is stricter than the real one: a field, a header, a method or a path that is not described is answered, and noted in
`violations`, which tests hold to be empty.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KEY = "a-vllm-key-that-must-not-be-seen"
BASE = "tiny"

_SAMPLING = {"max_tokens": int, "temperature": (int, float), "top_p": (int, float), "seed": int, "stop": (str, list)}
# Path -> field -> (type, whether it is needed): the fields that the project sends.
_FIELDS: Mapping[str, Mapping[str, tuple[Any, bool]]] = {
    "/load_lora_adapter": {"lora_name": (str, True), "lora_path": (str, True)},
    "/unload_lora_adapter": {"lora_name": (str, True)},
    "/v1/completions": {"model": (str, True), "prompt": (str, True), **{k: (t, False) for k, t in _SAMPLING.items()}},
    "/v1/chat/completions": {
        "model": (str, True),
        "messages": (list, True),
        **{name: (kind, False) for name, kind in _SAMPLING.items()},
    },
}


class Refusal(Exception):
    """An answer in vLLM's form of an error."""

    def __init__(self, status: int, message: str, kind: str = "BadRequestError") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


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
                answer = _answer(replica, method, self.path, dict(self.headers), body)
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


def _answer(
    replica: Replica, method: str, path: str, headers: Mapping[str, str], raw: bytes
) -> tuple[int, str, Mapping[str, str]]:
    """What one server says to one request."""
    cluster = replica.cluster
    try:
        _require_key(cluster, path, headers)
        route = _routes(cluster).get(path)
        if route is None or method not in route:
            if not (path.endswith("_lora_adapter") and not cluster.runtime_updates):
                cluster.violate(f"{method} {path} is not described")
            return 404 if route is None else 405, '{"detail":"Not Found"}', {}
        body = _body(cluster, path, headers, raw) if method == "POST" else {}
        return 200, route[method](replica, body), {}
    except Refusal as refusal:
        error = {"message": str(refusal), "type": refusal.kind, "param": None, "code": refusal.status}
        return refusal.status, json.dumps(error if cluster.engine == "sglang" else {"error": error}), {}
    except PermissionError:
        return 401, '{"error":"Unauthorized"}', {}


def _require_key(cluster: VllmCluster, path: str, headers: Mapping[str, str]) -> None:
    """vLLM guards what is under /v1; SGLang everything but health and metrics, and its adapters by the admin's key."""
    if path in {"/health", "/metrics"}:
        return
    wanted = cluster.admin_key if cluster.admin_key and path.endswith("_lora_adapter") else cluster.key
    if headers.get("Authorization") != (f"Bearer {wanted}" if wanted is not None else None):
        raise PermissionError


Route = Callable[[Replica, Mapping[str, Any]], str]


def _routes(cluster: VllmCluster) -> Mapping[str, Mapping[str, Route]]:
    prefix = "" if cluster.engine == "sglang" else "/v1"
    found: dict[str, Mapping[str, Route]] = {
        "/health": {"GET": lambda _replica, _body: ""},
        "/v1/models": {"GET": _models},
        "/v1/completions": {"POST": _complete},
        "/v1/chat/completions": {"POST": _chat},
    }
    if cluster.has_metrics:
        found["/metrics"] = {"GET": _metrics}
    if cluster.runtime_updates:
        found |= {f"{prefix}/load_lora_adapter": {"POST": _load}, f"{prefix}/unload_lora_adapter": {"POST": _unload}}
    return found


def _body(cluster: VllmCluster, path: str, headers: Mapping[str, str], raw: bytes) -> dict[str, Any]:
    """The body, checked field by field; the real server passes over a field that it does not know."""
    if headers.get("Content-Type", "").partition(";")[0] != "application/json":
        cluster.violate(f"{path} without Content-Type: application/json")
        raise Refusal(400, "Unsupported Media Type: Only 'application/json' is allowed", "Bad Request")
    body: dict[str, Any] = json.loads(raw)
    fields = _FIELDS.get(path, _FIELDS.get(path.removeprefix("/v1"), {}))
    wrong = [name for name in body if name not in fields or not isinstance(body[name], fields[name][0])]
    wrong += [name for name, (_, needed) in fields.items() if needed and name not in body]
    if wrong:
        cluster.violate(f"{path}: {wrong}")
        raise Refusal(400, f"1 validation error: {wrong}", "Bad Request")
    return body


def _models(replica: Replica, _body: Mapping[str, Any]) -> str:
    first = next(iter(replica.cluster.bases))
    cards = [_card(name, root, None) for name, root in replica.cluster.bases.items()]
    cards += [_card(name, root, first) for name, root in replica.adapters.items()]
    return json.dumps({"object": "list", "data": cards})


def _card(name: str, root: str, parent: str | None) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": 1795562423,
        "owned_by": "vllm",
        "root": root,
        "parent": parent,
        "max_model_len": None if parent else 2048,
        "permission": [{"id": "modelperm-1", "object": "model_permission"}],
    }


def _load(replica: Replica, body: Mapping[str, Any]) -> str:
    cluster, name, path = replica.cluster, body["lora_name"], body["lora_path"]
    if name in cluster.bases:
        raise Refusal(400, f"The lora adapter '{name}' conflicts with a served base model.", "InvalidUserInput")
    if name in replica.adapters:
        raise Refusal(400, f"The lora adapter '{name}' has already been loaded.", "InvalidUserInput")
    if not cluster.lora_enabled:
        raise _worker("LoRA is not enabled. Use --enable-lora to enable LoRA.")
    if cluster.failing_loads is not None:
        raise _worker(cluster.failing_loads)
    if path.startswith("/") and cluster.reads_paths:
        _read_files(cluster, name, Path(path))
    replica.adapters[name] = path
    return f"Success: LoRA adapter '{name}' added successfully."


def _read_files(cluster: VllmCluster, name: str, path: Path) -> None:
    """What the server does with a path of its own: no more than the config's rank matters here."""
    config = path / "adapter_config.json"
    if not cluster.sees_files or not config.is_file():
        raise Refusal(404, f"Loading lora {name} failed: No adapter found for {path}", "NotFoundError")
    rank = json.loads(config.read_text())["r"]
    if rank > cluster.largest_rank:
        raise _worker(f"LoRA rank {rank} is greater than max_lora_rank {cluster.largest_rank}.")


def _worker(words: str) -> Refusal:
    said = f"Call to add_lora method failed: Worker failed with error '{words}', please check the stack trace above"
    return Refusal(500, said, "InternalServerError")


def _unload(replica: Replica, body: Mapping[str, Any]) -> str:
    name = body["lora_name"]
    if name not in replica.adapters:
        raise Refusal(404, f"The lora adapter '{name}' cannot be found.", "NotFoundError")
    del replica.adapters[name]
    return f"Success: LoRA adapter '{name}' removed successfully."


def _said(replica: Replica, model: str, prompt: str) -> str:
    """The answer, which tells who gave it. SGLang takes the adapter after the colon, else the base, without a word."""
    cluster = replica.cluster
    name = model
    if cluster.engine == "sglang":
        name = model.partition(":")[2] or next(iter(cluster.bases))
    if name not in cluster.bases and name not in replica.adapters:
        raise Refusal(404, f"The model `{model}` does not exist.", "NotFoundError")
    if name in cluster.mute:
        raise Refusal(500, "the adapter has no tongue", "InternalServerError")
    replica.busy[name] = cluster.clock()
    replica.answered += 1
    return f"{name} at {replica.number} heard {prompt}"


def _complete(replica: Replica, body: Mapping[str, Any]) -> str:
    text = _said(replica, body["model"], body["prompt"])
    choice = {"index": 0, "text": text, "finish_reason": "length"}
    return json.dumps({"id": "cmpl-1", "object": "text_completion", "model": body["model"], "choices": [choice]})


def _chat(replica: Replica, body: Mapping[str, Any]) -> str:
    message = {"role": "assistant", "content": _said(replica, body["model"], body["messages"][-1]["content"])}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    envelope = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1795562423, "model": body["model"]}
    return json.dumps({**envelope, "choices": [choice], "usage": usage})


def _metrics(replica: Replica, _body: Mapping[str, Any]) -> str:
    count = replica.answered
    sums = {"prompt_tokens_total": 5 * count, "generation_tokens_total": 7 * count}
    if replica.cluster.engine == "sglang":
        sums |= {"num_requests_total": count, "num_queue_reqs": 1}
        lines = [f'sglang:{name}{{model_name="{BASE}"}} {value}' for name, value in sums.items()]
        return "\n".join([*lines, *_histogram("sglang", count)]) + "\n"
    lines = [f'vllm:{name}{{engine="0",model_name="{BASE}"}} {value}' for name, value in sums.items()]
    lines += [
        f'vllm:num_requests_waiting{{engine="0",model_name="{BASE}"}} 1',
        f'vllm:request_success_total{{finished_reason="stop",model_name="{BASE}"}} {count}',
        f'vllm:request_success_total{{finished_reason="error",model_name="{BASE}"}} 0',
        *_histogram("vllm", count),
    ]
    if replica.cluster.says_idle:
        none = {"": replica.cluster.clock()}
        lines += [
            f'vllm:lora_requests_info{{max_lora="2",running_lora_adapters="{name}",waiting_lora_adapters=""}} {last!r}'
            for name, last in (none | replica.busy).items()
        ]
    return "\n".join(lines) + "\n"


def _histogram(engine: str, count: int) -> Iterator[str]:
    """All answers took between 0.1 and 0.2 seconds, the first token between 0 and 0.1."""
    for name, low in (("e2e_request_latency_seconds", 0), ("time_to_first_token_seconds", count)):
        for bound, value in (("0.1", low), ("0.2", count), ("+Inf", count)):
            yield f'{engine}:{name}_bucket{{le="{bound}",model_name="{BASE}"}} {value}'


@contextmanager
def vllm_cluster(**options: Any) -> Iterator[VllmCluster]:
    """A cluster that ends with the block, and whose violations fail the test."""
    with VllmCluster(**options) as cluster:
        yield cluster
    assert cluster.violations == []
