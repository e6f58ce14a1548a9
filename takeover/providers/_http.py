"""One request over HTTP: built by pure functions, sent here, its failures told as the errors of `takeover.errors`.

No redirect is followed: a key goes to the address that it was given for, and nowhere else.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cache
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

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

__all__ = ["Patience", "Request", "Response", "Unreachable", "error_of", "json_of", "send", "send_patiently"]

_LONGEST_QUOTE = 400
# What passes by itself; 500 does not: a server that fails at a request fails at it again.
_PASSING = frozenset({429, 502, 503, 504})


class Unreachable(NotReady):
    """Nobody listens there, or the name leads nowhere: it is not up, or it is gone."""


@dataclass(frozen=True)
class Request:
    """What is sent. The key travels as a bearer token and shows in no repr; `to` names the other side in messages.

    `headers` are further ones, such as another content type for the JSON body.
    """

    method: str
    url: str
    to: str
    key: SecretStr | None = None
    body: Mapping[str, Any] | None = None
    timeout_s: float = 60.0
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Response:
    status: int
    text: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)


@dataclass
class Patience:
    """How often what failed for the moment is tried again: each request, and in sum all that share this object.

    The sum is the budget of one operation, so that a dying server costs it seconds and not minutes. A wait that the
    other side asks for (Retry-After) is kept up to `longest_wait_s`; a longer one is the caller's to know.
    """

    attempts: int = 4
    retries_left: int = 10
    longest_wait_s: float = 15.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def take(self) -> bool:
        self.retries_left -= 1
        return self.retries_left >= 0


async def send(request: Request, *, transport: httpx.AsyncBaseTransport | None = None) -> Response:
    """The answer, whatever its status. NotReady when nobody listens, VendorError when the connection breaks.

    Proxies of the environment are not used for plain http: those are machines of one's own.
    """
    try:
        return await _exchange(request, transport)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _failure(error, request) from None


async def send_patiently(
    request: Request, patience: Patience, *, transport: httpx.AsyncBaseTransport | None = None
) -> Response:
    """`send`, and again while the failure is one that passes. Only for requests that may be carried out twice.

    A request that was not answered in time is tried again only where it changes nothing (GET): the other side may still
    be at work on it.
    """
    from tenacity import AsyncRetrying, retry_if_exception, wait_random_exponential

    jittered = wait_random_exponential(multiplier=0.25, max=patience.longest_wait_s)

    def wait(state: Any) -> float:
        asked = _asked_wait_s(state.outcome.exception())
        return asked + 0.1 * jittered(state) if asked is not None else jittered(state)

    def give_up(state: Any) -> bool:
        asked = _asked_wait_s(state.outcome.exception()) or 0.0
        spent = state.attempt_number >= patience.attempts or asked > patience.longest_wait_s
        return spent or not patience.take()

    tries = AsyncRetrying(
        retry=retry_if_exception(_passes), wait=wait, stop=give_up, sleep=patience.sleep, reraise=True
    )
    try:
        return await tries(_once, request, transport)
    except _NotNow as error:
        return error.response
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _failure(error, request) from None


class _NotNow(Exception):
    """An answer with a status that passes."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


async def _once(request: Request, transport: httpx.AsyncBaseTransport | None) -> Response:
    try:
        response = await _exchange(request, transport)
    except (httpx.ReadTimeout, httpx.WriteTimeout) as error:
        raise _failure(error, request) if request.method != "GET" else error from None
    if response.status in _PASSING:
        raise _NotNow(response)
    return response


def _passes(error: BaseException) -> bool:
    return isinstance(error, (_NotNow, httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError))


def _asked_wait_s(error: BaseException | None) -> float | None:
    return _retry_after_s(error.response.headers) if isinstance(error, _NotNow) else None


@cache
def _certificates(secure: bool) -> ssl.SSLContext:
    """Made once a process: 20 ms that every request would take else, and 0.3 ms even where none are looked at."""
    return httpx.create_ssl_context(verify=secure)


async def _exchange(request: Request, transport: httpx.AsyncBaseTransport | None) -> Response:
    secure = request.url.startswith("https:")
    bearer = {"Authorization": f"Bearer {request.key.get_secret_value()}"} if request.key else {}
    async with httpx.AsyncClient(
        transport=transport, trust_env=secure, verify=_certificates(secure), follow_redirects=False
    ) as client:
        answer = await client.request(
            request.method,
            request.url,
            headers={**request.headers, **bearer},
            json=request.body,
            timeout=request.timeout_s,
        )
    return Response(answer.status_code, answer.text, dict(answer.headers))


def _failure(error: Exception, request: Request) -> TakeoverError:
    said = _shown(str(error), request)
    if isinstance(error, httpx.ConnectError):
        return Unreachable(f"{request.to} does not answer", why=said, fix="Is it up? `takeover status` tells.")
    if isinstance(error, httpx.TimeoutException):
        return NotReady(f"{request.to} did not answer within {request.timeout_s:g} s")
    return VendorError(f"the connection to {request.to} broke", why=said or type(error).__name__)


def error_of(response: Response, request: Request) -> TakeoverError | None:
    """The error that a status stands for, with what the other side said about it; None for 2xx."""
    status = response.status
    if 200 <= status < 300:
        return None
    why = f"HTTP {status}{_request_id(response)}: {_shown(_message(response.text), request)}"
    wait = _retry_after_s(response.headers)
    if 300 <= status < 400:
        return _redirected(response, request)
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
    found = _header(response.headers, "x-request-id")
    return f" (request id {found})" if found else ""


def _redirected(response: Response, request: Request) -> TakeoverError:
    """Only scheme and host of the other address are shown: its path and query are not ours to repeat."""
    target = urlsplit(_header(response.headers, "location"))
    there = f"{target.scheme}://{target.hostname}" if target.hostname else "another path"
    return VendorError(
        f"{request.to} points to {there}",
        why=f"HTTP {response.status}. The key is sent to no other address than the one it was given for.",
        fix="Give the final address, if it is the right one.",
    )


def _header(headers: Mapping[str, str], name: str) -> str:
    return {key.lower(): value for key, value in headers.items()}.get(name, "")


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds, never negative; a date is taken by the other side's own clock (its Date header)."""
    said = _header(headers, "retry-after")
    try:
        seconds = float(said)
    except ValueError:
        until, now = _date_s(said), _date_s(_header(headers, "date"))
        return None if until is None else max(0.0, until - (time.time() if now is None else now))
    return max(0.0, seconds) if isfinite(seconds) else None


def _date_s(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _again(wait_s: float | None) -> str:
    return "Ask again in a moment." if wait_s is None else f"Ask again in {wait_s:g} s."
