"""What stands before every route: the key."""

from __future__ import annotations

import hashlib
import secrets

from fastapi.responses import JSONResponse
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Guard"]

OPEN_PATHS = frozenset({"/health"})


class Guard:
    """A bearer key for everything but `/health` (vLLM guards `/v1` only), 401 in vLLM's shape without it.

    Keys are compared as hashes in constant time. The key itself is kept nowhere.
    """

    def __init__(self, app: ASGIApp, *, key: SecretStr) -> None:
        self._app = app
        self._key = _hash(key.get_secret_value())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if scope["path"] not in OPEN_PATHS and not self._is_allowed(headers):
            refusal = JSONResponse({"error": "Unauthorized"}, 401, headers={"WWW-Authenticate": "Bearer"})
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_allowed(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return secrets.compare_digest(_hash(given), self._key) and scheme.lower() == "bearer"


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
