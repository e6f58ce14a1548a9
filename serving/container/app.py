"""What stands before the engine: the key, a short list of paths, and what the engine does not know of itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from serving.container.cold_start import ColdStart
from serving.local.guard import Guard
from takeover.modal_contract import ContainerSettings

__all__ = ["MEASURED", "create_app"]

MEASURED = "x-takeover-cold-start-ms"

# Far above what the longest context takes as text, far below what would hurt.
MOST_BYTES = 4 * 2**20
_ASKED = ("accept", "content-type", "x-request-id")
_ANSWERED = ("content-type", "x-request-id", "retry-after", "cache-control")
# An answer may take as long as it takes; only the way to the engine is short.
_TIMEOUT = httpx.Timeout(None, connect=5.0)


def create_app(
    root: str,
    settings: ContainerSettings,
    *,
    key: SecretStr,
    cold: ColdStart,
    headers: Mapping[str, str] | None = None,
) -> Starlette:
    """The application over the engine at `root`, which is sent `headers`; any other path is 404 and never reaches it.

    The caller's own key goes no further.
    """
    client = httpx.AsyncClient(base_url=root, headers=headers, timeout=_TIMEOUT, trust_env=False)

    async def forward(request: Request) -> Response:
        return await _forward(client, request, cold)

    async def models(request: Request) -> Response:
        return await _models(client, settings, cold)

    async def cold_start(request: Request) -> Response:
        cold.first_asked(request.query_params.get("asked"))
        return JSONResponse(cold.to_json())

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await client.aclose()

    routes = [
        Route("/v1/chat/completions", forward, methods=["POST"]),
        Route("/v1/completions", forward, methods=["POST"]),
        Route("/v1/models", models, methods=["GET"]),
        Route("/health", forward, methods=["GET"]),
        Route("/metrics", forward, methods=["GET"]),
        Route("/takeover/cold-start", cold_start, methods=["GET"]),
    ]
    middleware = [Middleware(Guard, key=key)]
    return Starlette(routes=routes, middleware=middleware, lifespan=lifespan, exception_handlers=_HANDLERS)


async def _forward(client: httpx.AsyncClient, request: Request, cold: ColdStart) -> Response:
    """The engine's own answer, passed on piece by piece; a caller who hangs up ends it there."""
    body = await _body(request)
    if body is None:
        return _error(413, f"The request is larger than {MOST_BYTES} bytes.")
    headers = {name: request.headers[name] for name in _ASKED if name in request.headers}
    asked = client.build_request(request.method, request.url.path, headers=headers, content=body)
    try:
        answer = await client.send(asked, stream=True)
    except httpx.HTTPError:
        return _error(503, "The engine does not answer.", {"Retry-After": "5"})
    return StreamingResponse(_pieces(answer), answer.status_code, _passed_on(answer, cold))


async def _body(request: Request) -> bytes | None:
    """The request's body; None when it is too large."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            return None
    return body


async def _pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_bytes():
            yield piece
    finally:
        await answer.aclose()


async def _models(client: httpx.AsyncClient, settings: ContainerSettings, cold: ColdStart) -> Response:
    """The engine's list, each adapter with its digest, and whether it is kept for old callers only."""
    try:
        answer = await client.get("/v1/models")
    except httpx.HTTPError:
        return _error(503, "The engine does not answer.", {"Retry-After": "5"})
    if answer.status_code != 200:
        return Response(answer.content, answer.status_code, _passed_on(answer, cold))
    listed = answer.json()
    known = _known(settings)
    listed["data"] = [entry | known.get(entry["id"], {}) for entry in listed["data"]]
    return JSONResponse(listed, headers=_measured(cold))


def _known(settings: ContainerSettings) -> Mapping[str, dict[str, Any]]:
    states = {adapter.digest: "ready" for adapter in settings.adapters}
    return {
        adapter.served_name: {
            "takeover": {"digest": adapter.digest, "state": states.get(adapter.digest, "retiring")},
        }
        for adapter in settings.served
    }


def _passed_on(answer: httpx.Response, cold: ColdStart) -> dict[str, str]:
    kept = {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}
    return kept | _measured(cold)


def _measured(cold: ColdStart) -> dict[str, str]:
    return {} if cold.measured_ms is None else {MEASURED: str(cold.measured_ms)}


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """In the shape of OpenAI's."""
    error = {"message": message, "type": "invalid_request_error" if status < 500 else "server_error", "code": status}
    return JSONResponse({"error": error}, status, headers=headers)


async def _not_found(request: Request, _error_of: Exception) -> Response:
    return _error(404, f"There is no {request.method} {request.url.path} here.")


async def _not_allowed(request: Request, _error_of: Exception) -> Response:
    return _error(405, f"{request.method} is not for {request.url.path}.")


_HANDLERS: Mapping[Any, Any] = {404: _not_found, 405: _not_allowed}
