"""The SDK's errors as ours: what happened, why, what to do; never a header, never the key."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime

import openai

from takeover.client._reply import UnknownAdapter
from takeover.errors import AuthError, ColdStart, NotReady, QuotaError, RateLimited, Refused, TakeoverError, VendorError
from takeover.outputs import HIDDEN, EndpointOutputs

__all__ = ["broken_off", "may_have_moved", "our_errors", "translated"]

_LOOK = "`takeover refresh` looks what runs, `takeover up` mends it."


def may_have_moved(error: Exception) -> bool:
    """Whether newer outputs could mend it: nothing answers there, another key, the model is gone, or it shuts down."""
    if isinstance(error, openai.APITimeoutError):
        return False
    if isinstance(error, UnknownAdapter):
        return True
    if isinstance(error, openai.APIStatusError):
        return error.status_code in (401, 404, 503)
    return isinstance(error, openai.APIConnectionError)


@contextmanager
def our_errors(outputs: EndpointOutputs, *, begun: bool = False) -> Iterator[None]:
    """What the SDK raises inside the block is raised as ours; `begun` when a part of the answer has come already."""
    try:
        yield
    except openai.APIConnectionError as error:
        raise broken_off(outputs, _cause(error)) if begun else translated(error, outputs) from None
    except openai.OpenAIError as error:
        raise translated(error, outputs) from None


def broken_off(outputs: EndpointOutputs, why: str) -> VendorError:
    """A stream that ended before its answer did."""
    return VendorError(f"the answer of {outputs.url} broke off", why=why, fix="Ask again.")


def _cause(error: openai.APIConnectionError) -> str:
    return f"The connection failed ({type(error.__cause__ or error).__name__})."


def translated(error: Exception, outputs: EndpointOutputs) -> TakeoverError:
    """The error as one of `takeover.errors`. Where trying again helps, the SDK has done so already."""
    if isinstance(error, openai.APIStatusError):
        return _of_status(error, outputs)
    if isinstance(error, openai.APITimeoutError):
        return VendorError(f"{outputs.url} did not answer in time", fix="Give the client a longer timeout_s.")
    if isinstance(error, openai.APIConnectionError):
        return VendorError(f"nothing answers at {outputs.url}", why=_cause(error), fix=_LOOK)
    return VendorError(f"{outputs.url} failed", why=_clean(str(error), outputs))


def _of_status(error: openai.APIStatusError, outputs: EndpointOutputs) -> TakeoverError:
    url, why, wait = outputs.url, _why(error, outputs), _retry_after_s(error)
    match error.status_code:
        case 401 | 403:
            fix = "Read the outputs again: an endpoint that is made anew has a new key."
            return AuthError(f"{url} does not accept the key", why=why, fix=fix)
        case 402:
            return QuotaError(f"{url} asks for payment", why=why, fix="Look at the account's balance.")
        case 404:
            return VendorError(f"{url} does not serve what was asked for", why=why, fix=_LOOK)
        case 429 if error.code == "insufficient_quota":
            return QuotaError(f"{url}: the account's quota is used up", why=why, fix="Look at the account's limits.")
        case 429:
            fix = "Ask more slowly, or raise takeover:hosting.maxReplicas."
            return RateLimited(f"{url} is asked too often", why=why, fix=fix, retry_after_s=wait)
        case 503 if error.code == "cold_start":
            fix = "Ask again in some minutes: it is being woken, and no call is kept waiting."
            return ColdStart(f"{url} is at zero", why=why, fix=fix, retry_after_s=wait)
        case 503:
            return NotReady(f"{url} is not ready", why=why, fix="Ask again later.", retry_after_s=wait)
        case status if 400 <= status < 500:
            return Refused(f"{url} refused the request", why=why, fix="Change the request: nothing was answered.")
    return VendorError(f"{url} failed", why=why, fix=_LOOK)


def _why(error: openai.APIStatusError, outputs: EndpointOutputs) -> str:
    """`HTTP 404, code model_not_found, request id req_81f: <the server's own sentence>`."""
    parts = [f"HTTP {error.status_code}"]
    parts += [f"code {error.code}"] if error.code else []
    parts += [f"request id {error.request_id}"] if error.request_id else []
    said = error.body.get("message") if isinstance(error.body, dict) else None
    return _clean(", ".join(parts) + (f": {said}" if isinstance(said, str) else ""), outputs)


def _clean(text: str, outputs: EndpointOutputs) -> str:
    """At most 500 characters on one line, without the key, which some servers repeat."""
    key = outputs.api_key.get_secret_value() if outputs.api_key else ""
    line = " ".join((text.replace(key, HIDDEN) if key else text).split())
    return line if len(line) <= 500 else line[:497] + "..."


def _retry_after_s(error: openai.APIStatusError) -> float | None:
    """The header `Retry-After`, seconds or a date, as seconds from now."""
    value = error.response.headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
