"""A real server on the loopback, inside the test's process: uvicorn and the engine, without the command line."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import uvicorn
from openai import OpenAI
from pydantic import SecretStr

from serving.local.answering import deliver_into
from serving.local.app import Service, create_app
from serving.local.engine import Engine, Limits
from serving.local.load import load_base
from serving.local.state import bind
from takeover.adapter import Adapter
from takeover.bases import parse_base
from takeover.bases.materialise import materialise

KEY = "a-key-for-the-tests"


@dataclass(frozen=True)
class LiveServer:
    url: str
    service: Service
    engine: Engine

    def openai(self) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key=KEY, max_retries=0, timeout=60)

    def http(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)

    def load(self, adapter: Adapter) -> str:
        """Load it over HTTP; its served name."""
        body = {"lora_name": adapter.served_name, "lora_path": str(adapter.path)}
        with self.http() as http:
            http.post("/v1/load_lora_adapter", json=body).raise_for_status()
        return adapter.served_name

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the model from computing the next token while the block runs."""
        entered, leave = threading.Event(), threading.Event()

        def hold() -> None:
            entered.set()
            leave.wait(60)

        thread = threading.Thread(target=self.engine.scheduler.between_steps, args=(hold,))
        thread.start()
        entered.wait(60)
        try:
            yield
        finally:
            leave.set()
            thread.join(60)


@contextmanager
def live_server(limits: Limits | None = None, *, dtype: str = "float32") -> Iterator[LiveServer]:
    """Serve the base `tiny`."""
    listening = bind("127.0.0.1", 0)
    service = Service()
    config = uvicorn.Config(create_app(service, key=SecretStr(KEY)), log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(server.serve(sockets=[listening]),), daemon=True)
    thread.start()
    engine = tiny_engine(loop, limits or Limits())
    service.engine, service.state = engine, "ready"
    try:
        yield LiveServer(f"http://127.0.0.1:{listening.getsockname()[1]}", service, engine)
    finally:
        engine.close()
        server.should_exit = True
        thread.join(120)
        loop.close()


def tiny_engine(loop: asyncio.AbstractEventLoop, limits: Limits) -> Engine:
    local = materialise(parse_base("tiny"))
    loaded = load_base(Path(local.path), dtype="float32", context_length=None)
    return Engine(local, loaded, limits, partial(deliver_into, loop))
