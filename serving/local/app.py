"""The web application: vLLM's routes over one engine, and what a server says while it has none yet."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import SecretStr
from starlette.exceptions import HTTPException

from serving.local.checks import verified_adapter
from serving.local.errors import ApiError, bad_request, on_failure, on_http_error, on_invalid_request, unavailable
from serving.local.guard import Guard
from serving.local.protocol import ChatRequest, CompletionRequest, LoadRequest, UnloadRequest
from takeover.errors import Refused

if TYPE_CHECKING:  # the engine brings torch, and the application answers before that is there
    from serving.local.engine import Engine
    from serving.local.shelf import Entry

__all__ = ["Service", "State", "create_app"]

log = logging.getLogger("takeover.serving")

State = Literal["loading", "ready", "draining"]

# Far above what the longest context takes as text, far below what would hurt.
MOST_BYTES = 4 * 2**20


@dataclass
class Service:
    """What the routes share. `engine` is None until the base is loaded."""

    state: State = "loading"
    engine: Engine | None = None
    _changing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def ready_engine(self) -> Engine:
        """The engine, its expired adapters gone; ApiError 503 while it loads or drains."""
        if self.state == "loading" or self.engine is None:
            raise unavailable("the base is still loading", 2)
        if self.state == "draining":
            raise unavailable("the server is stopping and takes no new requests", 1)
        self.engine.shelf.sweep(time.monotonic())
        return self.engine

    async def load(self, name: str, path: str) -> str:
        """vLLM's `/v1/load_lora_adapter`; an adapter that is retiring is wanted again."""
        async with self._changing:
            engine = self.ready_engine()
            held = engine.shelf.find(name)
            if held is not None and held.state == "ready":
                raise ApiError(400, "InvalidUserInput", f"The lora adapter '{name}' has already been loaded.")
            if held is not None:
                engine.shelf.revive(held)
            else:
                engine.shelf.put(await _new_entry(engine, name, Path(path)))
        log.info("serving the adapter %s", name)
        return f"Success: LoRA adapter '{name}' added successfully."

    async def unload(self, name: str, drain_s: float) -> str:
        """vLLM's `/v1/unload_lora_adapter`; running answers are finished in any case."""
        async with self._changing:
            engine = self.ready_engine()
            held = engine.shelf.find(name)
            if held is None:
                raise ApiError(404, "NotFoundError", f"The lora adapter '{name}' cannot be found.")
            engine.shelf.retire(held, drain_s, time.monotonic())
        log.info("retiring the adapter %s", name)
        return f"Success: LoRA adapter '{name}' removed successfully."


async def _new_entry(engine: Engine, name: str, path: Path) -> Entry:
    if not await asyncio.to_thread(path.is_dir):
        raise ApiError(404, "NotFoundError", f"No adapter found for {name}: {path} is no folder.")
    try:
        adapter = await asyncio.to_thread(verified_adapter, name, path, engine.local)
        return await asyncio.to_thread(engine.new_entry, adapter)
    except Refused as refused:
        raise bad_request(str(refused), "lora_path") from None


def create_app(service: Service, *, key: SecretStr) -> FastAPI:
    """The application over `service`, whose engine may come later."""
    app = FastAPI(title="takeover local tier", openapi_url=None, max_body_size=MOST_BYTES)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_invalid_request)
    app.add_exception_handler(Exception, on_failure)
    app.add_middleware(Guard, key=key)
    _add_answers(app, service)
    _add_adapters(app, service)
    _add_views(app, service)
    return app


def _add_answers(app: FastAPI, service: Service) -> None:
    @app.post("/v1/chat/completions", response_model=None)
    async def chat(body: ChatRequest, request: Request) -> Response:
        return await _answer(service, body, request)

    @app.post("/v1/completions", response_model=None)
    async def complete(body: CompletionRequest, request: Request) -> Response:
        return await _answer(service, body, request)


async def _answer(service: Service, body: ChatRequest | CompletionRequest, request: Request) -> Response:
    engine = service.ready_engine()
    from serving.local.answering import answer

    return await answer(engine, body, request)


def _add_adapters(app: FastAPI, service: Service) -> None:
    @app.post("/v1/load_lora_adapter", response_model=None)
    async def load(body: LoadRequest) -> Response:
        return PlainTextResponse(await service.load(body.lora_name, body.lora_path))

    @app.post("/v1/unload_lora_adapter", response_model=None)
    async def unload(body: UnloadRequest) -> Response:
        return PlainTextResponse(await service.unload(body.lora_name, body.drain_seconds))


def _add_views(app: FastAPI, service: Service) -> None:
    @app.get("/health", response_model=None)
    async def health() -> Response:
        return JSONResponse({"status": service.state}, 200 if service.state == "ready" else 503)

    @app.get("/version")
    async def version() -> dict[str, str]:
        return {"version": metadata.version("takeover")}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        engine = service.ready_engine()
        cards = [_base_card(engine), *(_adapter_card(engine, entry) for entry in engine.shelf.entries())]
        return {"object": "list", "data": cards}

    @app.get("/metrics", response_model=None)
    async def scrape() -> Response:
        if service.engine is None:
            raise unavailable("the base is still loading", 2)
        return Response(service.engine.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _base_card(engine: Engine) -> dict[str, Any]:
    return _card(engine.base_name, engine.created, str(engine.local.path), None) | {
        "max_model_len": engine.loaded.context_length
    }


def _adapter_card(engine: Engine, entry: Entry) -> dict[str, Any]:
    """As vLLM lists it; `takeover` is ours."""
    card = _card(entry.weights.name, entry.created, str(entry.adapter.path), engine.base_name)
    return card | {"takeover": {"digest": entry.adapter.digest, "state": entry.state}}


def _card(name: str, created: int, root: str, parent: str | None) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": created, "owned_by": "takeover", "root": root, "parent": parent}
