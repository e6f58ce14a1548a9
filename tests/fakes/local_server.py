"""A stand-in for `python -m serving.local` that keeps the same contract, starts in a moment and computes nothing.

The contract is the one between takeover/providers/local.py and serving/local: the lock, `server.json`, the key, the
routes. What the contract does not describe is answered 500 and noted in the log as VIOLATION, which tests look for.
An adapter's folder is taken by its `manifest.json` alone. Variables make it misbehave:

    TAKEOVER_FAKE_DIES=text       print the text and exit 1 in place of getting ready
    TAKEOVER_FAKE_LOADS_S=0.5     stay in `loading` so long
    TAKEOVER_FAKE_MUTE=name       load this adapter, and answer 500 when it is asked
    TAKEOVER_FAKE_COUNTS=file     add a line to the file for each request, and answer as ever
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil

METRICS = """\
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{model_name="tiny"} 0
# TYPE vllm:request_success_total counter
vllm:request_success_total{model_name="tiny",finished_reason="stop"} 3
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{model_name="tiny"} 30
"""


class Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class World:
    """The server's state; every change of `state` is written to `server.json`."""

    def __init__(self, arguments: argparse.Namespace, port: int) -> None:
        self.folder = Path(arguments.state_dir)
        self.key = self.read_key()
        self.base: str = arguments.base
        self.port = port
        self.adapters: dict[str, dict[str, str]] = {}
        self.lock = threading.RLock()
        self.started_at = psutil.Process().create_time()
        self.tell("loading", None)

    def read_key(self) -> str:
        return (self.folder / "key").read_text().strip()

    def tell(self, state: str, started_ms: int | None) -> None:
        self.state = state
        told = {
            "pid": os.getpid(),
            "startTime": self.started_at,
            "host": "127.0.0.1",
            "port": self.port,
            "url": f"http://127.0.0.1:{self.port}",
            "base": self.base,
            "baseRevision": None if state == "loading" else "sha256:" + "0" * 64,
            "state": state,
            "startedMs": started_ms,
        }
        building = self.folder / "server.json.new"
        building.write_text(json.dumps(told))
        building.replace(self.folder / "server.json")

    def load(self, body: dict[str, Any]) -> str:
        name, path = body["lora_name"], Path(body["lora_path"])
        with self.lock:
            held = self.adapters.get(name)
            if held and held["state"] == "ready":
                raise Refusal(400, f"The lora adapter '{name}' has already been loaded.")
            try:
                digest = json.loads((path / "manifest.json").read_text())["digest"]
            except OSError:
                raise Refusal(404, f"No adapter found for {name}: {path} is no folder.") from None
            if not name.endswith("@" + digest.removeprefix("sha256:")[:12]):
                raise Refusal(400, f"{name} is not the name of {digest}")
            self.adapters[name] = {"digest": digest, "state": "ready"}
        return f"Success: LoRA adapter '{name}' added successfully."

    def unload(self, body: dict[str, Any]) -> str:
        name, drain_s = body["lora_name"], body.get("drain_seconds", 0)
        with self.lock:
            if name not in self.adapters:
                raise Refusal(404, f"The lora adapter '{name}' cannot be found.")
            if drain_s:
                self.adapters[name]["state"] = "retiring"
            else:
                del self.adapters[name]
        return f"Success: LoRA adapter '{name}' removed successfully."

    def models(self) -> dict[str, Any]:
        base = {"id": self.base, "object": "model", "root": self.base, "parent": None}
        adapters = [
            {"id": name, "object": "model", "root": name, "parent": self.base, "takeover": ours}
            for name, ours in self.adapters.items()
        ]
        return {"object": "list", "data": [base, *adapters]}

    def answer(self, body: dict[str, Any]) -> str:
        model = body["model"]
        if model != self.base and model not in self.adapters:
            raise Refusal(404, f"The model `{model}` does not exist.")
        if model == os.environ.get("TAKEOVER_FAKE_MUTE"):
            raise Refusal(500, "the adapter has no tongue")
        return f"{model} heard {body['prompt'] if 'prompt' in body else body['messages'][-1]['content']}"


def completion(world: World, body: dict[str, Any]) -> dict[str, Any]:
    return {"object": "text_completion", "choices": [{"index": 0, "text": world.answer(body)}]}


def chat(world: World, body: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": world.answer(body)}
    return {"object": "chat.completion", "choices": [{"index": 0, "message": message}]}


GET = {"/v1/models": lambda world: world.models(), "/metrics": lambda _world: METRICS}
POST = {
    "/v1/load_lora_adapter": lambda world, body: world.load(body),
    "/v1/unload_lora_adapter": lambda world, body: world.unload(body),
    "/v1/completions": completion,
    "/v1/chat/completions": chat,
}


class Handler(BaseHTTPRequestHandler):
    world: World

    def log_message(self, *_: Any) -> None:
        return

    def reply(self, status: int, value: Any) -> None:
        data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        if self.path == "/health":
            is_ready = self.world.state == "ready"
            self.reply(200 if is_ready else 503, {"status": "ok" if is_ready else self.world.state})
            return
        self.run(lambda: GET[self.path](self.world))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.run(lambda: POST[self.path](self.world, body))

    def run(self, work: Any) -> None:
        if self.headers.get("Authorization") != f"Bearer {self.world.key}":
            self.reply(401, {"error": {"message": "Unauthorized"}})
            return
        if counts := os.environ.get("TAKEOVER_FAKE_COUNTS"):
            with Path(counts).open("a") as file:
                file.write(f"{self.command} {self.path}\n")
        try:
            self.reply(200, work())
        except Refusal as refusal:
            self.reply(refusal.status, {"error": {"message": str(refusal)}})
        except KeyError as missing:
            print(f"VIOLATION: {self.command} {self.path}: {missing}", flush=True)
            self.reply(500, {"error": {"message": f"not described: {missing}"}})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--state-dir", required=True)
    parser.add_argument("--base", required=True)
    parser.add_argument("--base-path")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--adapter", action="append", default=[])
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto")
    for flag in ("--max-batch", "--max-queue", "--context-length", "--drain-seconds"):
        parser.add_argument(flag, type=int)
    return parser.parse_args()


def get_ready(world: World, arguments: argparse.Namespace) -> None:
    time.sleep(float(os.environ.get("TAKEOVER_FAKE_LOADS_S", "0")))
    if dies := os.environ.get("TAKEOVER_FAKE_DIES"):
        print(f"loading the base\n{dies}", flush=True)
        os._exit(1)
    try:
        for item in arguments.adapter:
            name, _, path = item.partition("=")
            world.load({"lora_name": name, "lora_path": path})
    except Refusal as refusal:
        print(refusal, flush=True)
        os._exit(2)
    world.tell("ready", int((time.time() - world.started_at) * 1000))


def main() -> None:
    arguments = parse()
    lock = os.open(Path(arguments.state_dir) / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(3)
    try:
        server = ThreadingHTTPServer((arguments.host, arguments.port), Handler)
    except OSError as error:
        print(f"port {arguments.port} cannot be had: {error.strerror}", file=sys.stderr)
        sys.exit(2)
    world = Handler.world = World(arguments, server.server_address[1])

    def drain(*_: Any) -> None:
        world.tell("draining", None)
        (world.folder / "server.json").unlink(missing_ok=True)
        os._exit(0)

    signal.signal(signal.SIGTERM, drain)
    threading.Thread(target=get_ready, args=(world, arguments), daemon=True).start()
    server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
