"""What a request is answered when it is not served, in vLLM's shape.

    {"error": {"message": "...", "type": "BadRequestError", "param": "max_tokens", "code": 400}}

Types, texts and codes: vLLM's error_response.py, models/serving.py and middleware/authenticate.py (0.2x-0.3x, read
2026-11-24). A missing or wrong key is `{"error": "Unauthorized"}` there, and here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

__all__ = ["ApiError", "bad_request", "error_body", "on_failure", "on_http_error", "on_invalid_request", "unavailable"]

_MOST_MISTAKES = 10


class ApiError(HTTPException):
    """A request that gets an error instead of an answer."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, headers)
        self.kind, self.param = kind, param

    def response(self) -> JSONResponse:
        body = error_body(self.status_code, self.kind, self.detail, self.param)
        return JSONResponse(body, status_code=self.status_code, headers=self.headers)


def error_body(status: int, kind: str, message: str, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": status}}


def bad_request(message: str, param: str | None = None) -> ApiError:
    return ApiError(400, "BadRequestError", message, param=param)


def unavailable(message: str, retry_after_s: int) -> ApiError:
    return ApiError(503, "ServiceUnavailableError", message, headers={"Retry-After": str(retry_after_s)})


async def on_http_error(_request: Request, error: Exception) -> JSONResponse:
    """Ours, and those of the framework: no such route, no such method."""
    assert isinstance(error, HTTPException)
    ours = error if isinstance(error, ApiError) else ApiError(error.status_code, "HTTPError", error.detail)
    return ours.response()


async def on_failure(_request: Request, _error: Exception) -> JSONResponse:
    """A mistake of ours; uvicorn writes its traceback into the log, the client hears only that."""
    return ApiError(500, "InternalServerError", "the server failed; its log says why").response()


async def on_invalid_request(_request: Request, error: Exception) -> JSONResponse:
    """Every mistake in the body by its field, and never the body itself."""
    assert isinstance(error, RequestValidationError)
    mistakes = [_mistake(found) for found in error.errors()[:_MOST_MISTAKES]]
    message = "; ".join(dict.fromkeys(f"{field}: {text}" if field else text for field, text in mistakes))
    return bad_request(message, next((field for field, _ in mistakes if field), None)).response()


def _mistake(found: Mapping[str, Any]) -> tuple[str, str]:
    """The field and what is wrong with it."""
    if found["type"] == "json_invalid":
        return "", f"the body is no JSON: {found['ctx']['error']}"
    where: Sequence[Any] = [part for part in found["loc"] if part != "body"]
    # A union names its branches after the field; they mean nothing to whoever sent the request.
    field = str(where[0]) if where else ""
    return field, str(found["msg"]).removeprefix("Value error, ")
