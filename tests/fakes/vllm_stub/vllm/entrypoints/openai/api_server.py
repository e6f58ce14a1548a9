"""A stand-in for vLLM's OpenAI server (0.33): its flags, its environment, its routes; nothing is computed.

Flags that vLLM does not have end it, as they do there. Beside tests/fakes/local_server.py: no state folder, no digest
in the list of models, no drain on unloading.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from http.server import ThreadingHTTPServer
from typing import Any

from fakes.local_server import Handler, Refusal, World

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--served-model-name", nargs="+", required=True)
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--enable-lora", action="store_true", required=True)
    parser.add_argument("--max-lora-rank", type=int, choices=RANKS, required=True)
    for flag in ("--max-num-seqs", "--max-loras", "--max-cpu-loras", "--shutdown-timeout", "--max-model-len"):
        parser.add_argument(flag, type=int)
    parser.add_argument("--lora-modules", nargs="+", default=[])
    return parser.parse_args()


class VllmWorld(World):
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.may_load = os.environ.get("VLLM_ALLOW_RUNTIME_LORA_UPDATING") == "1"
        super().__init__(arguments, arguments.port)
        self.state = "ready"

    def read_key(self) -> str:
        return os.environ["VLLM_API_KEY"]

    def tell(self, state: str, started_ms: int | None) -> None:
        self.state = state

    def load(self, body: dict[str, Any]) -> str:
        if not self.may_load:
            raise Refusal(404, "Not Found")
        return super().load(body)

    def unload(self, body: dict[str, Any]) -> str:
        return super().unload({"lora_name": body["lora_name"]})

    def models(self) -> dict[str, Any]:
        listed = super().models()
        for entry in listed["data"]:
            entry.pop("takeover", None)
        return listed


def main() -> None:
    arguments = parse()
    arguments.base, arguments.state_dir = arguments.served_model_name[0], "/nowhere"
    server = ThreadingHTTPServer((arguments.host, arguments.port), Handler)
    Handler.world = world = VllmWorld(arguments)
    for item in arguments.lora_modules:
        name, _, path = item.partition("=")
        world.load({"lora_name": name, "lora_path": path})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.serve_forever(poll_interval=0.05)


main()
