"""One request over HTTP: built by pure functions, sent here, its failures told as the errors of `takeover.errors`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import SecretStr

from takeover.errors import (
    AuthError,
    NotReady,
    QuotaError,
    RateLimited,
    Refused,
    TakeoverError,
    VendorError,
)

__all__ = ["Request", "Response", "error_of", "json_of", "send"]

_LONGEST_QUOTE = 400


@dataclass(frozen=True)
class Request:
    """What is sent. The key travels as a bearer token and shows in no repr; `to` names the other side in messages."""

    method: str
    url: str
    to: str
    key: SecretStr | None = None
    body: Mapping[str, Any] | None = None
    timeout_s: float = 60.0


@dataclass(frozen=True)
class Response:
    status: int
    text: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)


async def send(request: Request, *, transport: httpx.AsyncBaseTransport | None = None) -> Response:
    """The answer, whatever its status. NotReady when nobody listens, VendorError when the connection breaks.

    Proxies of the environment are not used for plain http: those are machines of one's own.
    """
    secure = request.url.startswith("https:")
    headers = {"Authorization": f"Bearer {request.key.get_secret_value()}"} if request.key else {}
    try:
        async with httpx.AsyncClient(transport=transport, trust_env=secure, verify=secure) as client:
            answer = await client.request(
                request.method, request.url, headers=headers, json=request.body, timeout=request.timeout_s
            )
    except httpx.ConnectError as error:
        raise NotReady(
            f"{request.to} does not answer", why=_shown(str(error), request), fix="Is it up? `takeover status` tells."
        ) from None
    except httpx.TimeoutException:
        raise NotReady(f"{request.to} did not answer within {request.timeout_s:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise VendorError(f"the connection to {request.to} broke", why=_shown(str(error), request)) from None
    return Response(answer.status_code, answer.text, dict(answer.headers))


def error_of(response: Response, request: Request) -> TakeoverError | None:
    """The error that a status stands for, with what the other side said about it; None for 2xx."""
    status = response.status
    if 200 <= status < 300:
        return None
    why = f"HTTP {status}{_request_id(response)}: {_shown(_message(response.text), request)}"
    wait = _retry_after_s(response.headers)
    if status == 401:
        return AuthError(f"{request.to} does not accept the key", why=why, fix="Check the key it was given.")
    if status in {402, 403}:
        return QuotaError(f"{request.to} does not allow this", why=why, fix="Check the account's plan and rights.")
    if status == 429:
        return RateLimited(f"{request.to} is asked too often", retry_after_s=wait, why=why, fix=_again(wait))
    if status in {409, 425, 503}:
        return NotReady(f"{request.to} cannot answer yet", retry_after_s=wait, why=why, fix=_again(wait))
    if 400 <= status < 500:
        return Refused(f"{request.to} refused the request", why=why)
    return VendorError(f"{request.to} failed", why=why)


def json_of(response: Response, request: Request) -> dict[str, Any]:
    """The body of a good answer as an object; raises what `error_of` says, or VendorError when it is no JSON object."""
    error = error_of(response, request)
    if error is not None:
        raise error
    try:
        value = json.loads(response.text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise VendorError(
            f"{request.to} answered with something else than a JSON object",
            why=f"HTTP {response.status}{_request_id(response)}: {_shown(response.text, request) or 'nothing'}",
        )
    return value


def _message(text: str) -> str:
    """What an OpenAI-style error body says, or the text itself."""
    try:
        body = json.loads(text)
    except ValueError:
        return text
    inner = body.get("error", body) if isinstance(body, dict) else body
    said = inner.get("message") or inner.get("detail") if isinstance(inner, dict) else inner
    return said if isinstance(said, str) else text


def _shown(text: str, request: Request) -> str:
    """At most a few lines, and never the key, even when the other side repeats it."""
    key = request.key.get_secret_value() if request.key else ""
    clean = text.replace(key, "[secret]") if key else text
    return clean.strip()[:_LONGEST_QUOTE]


def _request_id(response: Response) -> str:
    found = {name.lower(): value for name, value in response.headers.items()}.get("x-request-id", "")
    return f" (request id {found})" if found else ""


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds; its form as a date is not used by any of the tiers, and read as None."""
    said = {name.lower(): value for name, value in headers.items()}.get("retry-after", "")
    try:
        return max(0.0, float(said))
    except ValueError:
        return None


def _again(wait_s: float | None) -> str:
    return "Ask again in a moment." if wait_s is None else f"Ask again in {wait_s:g} s."
