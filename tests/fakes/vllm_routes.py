"""What a vLLM server says to a request: routes, statuses and bodies of vLLM 0.32, and SGLang's where they differ."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fakes.vllm_server import Replica, VllmCluster

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


def answer_to(
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


Route = Callable[["Replica", Mapping[str, Any]], str]


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
    told = replica.cluster.tells_digest
    ours = {} if told is None else {"takeover": {"digest": told, "state": "ready"}}
    cards += [_card(name, root, first) | ours for name, root in replica.adapters.items()]
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


def _said(replica: Replica, body: Mapping[str, Any], prompt: str) -> str:
    """The answer, which tells who gave it. SGLang takes the adapter after the colon, else the base, without a word.

    An answer of one token leaves no trace in vLLM's metrics of what ran.
    """
    cluster, model = replica.cluster, body["model"]
    name = model
    if cluster.engine == "sglang":
        name = model.partition(":")[2] or next(iter(cluster.bases))
    if name not in cluster.bases and name not in replica.adapters:
        aliases = ", ".join(cluster.bases)
        raise Refusal(404, f"The model `{model}` does not exist. Valid aliases: {aliases}.", "NotFoundError")
    if name in cluster.mute:
        raise Refusal(500, "the adapter has no tongue", "InternalServerError")
    if body.get("max_tokens") != 1:
        replica.busy[name] = cluster.clock()
    replica.answered += 1
    return f"{name} at {replica.number} heard {prompt}"


def _complete(replica: Replica, body: Mapping[str, Any]) -> str:
    text = _said(replica, body, body["prompt"])
    choice = {"index": 0, "text": text, "finish_reason": "length"}
    return json.dumps({"id": "cmpl-1", "object": "text_completion", "model": body["model"], "choices": [choice]})


def _chat(replica: Replica, body: Mapping[str, Any]) -> str:
    message = {"role": "assistant", "content": _said(replica, body, body["messages"][-1]["content"])}
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
