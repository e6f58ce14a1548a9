"""What stands before every route: the key, and the size of the body."""

from __future__ import annotations

import hashlib
import secrets

from fastapi.responses import JSONResponse
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.local.errors import ApiError

__all__ = ["Guard"]

OPEN_PATHS = frozenset({"/health"})
# Far above what the longest context takes as text, far below what would hurt.
MOST_BYTES = 4 * 2**20


class Guard:
    """A bearer key for everything but `/health` (vLLM guards `/v1` only), and 413 for a body that is too large.

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
        await self._limited(scope, receive, send, headers)

    def _is_allowed(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return secrets.compare_digest(_hash(given), self._key) and scheme.lower() == "bearer"

    async def _limited(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        """Pass the body on while it stays within the limit, whatever its length was said to be."""
        said = headers.get("content-length", "")
        if said.isdecimal() and int(said) > MOST_BYTES:
            await _too_large().response()(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MOST_BYTES:
                raise _too_large()
            return message

        await self._app(scope, counted, send)


def _too_large() -> ApiError:
    text = f"the body is larger than {MOST_BYTES // 2**20} MiB"
    return ApiError(413, "RequestEntityTooLargeError", text, headers={"Connection": "close"})


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
