"""The Hugging Face Hub's own client, set up in one place: the token, how long to wait, and its errors in our words.

Facts: huggingface_hub 2.4.0, `errors.py` and `utils/_http.py`, read 2026-11-25. That 412 is another parent commit and
409 a commit under way: datasets 4, `arrow_dataset.py`, which tries again on both.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from takeover.errors import AuthError, QuotaError, RateLimited, Refused, TakeoverError, VendorError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["asking", "explained", "hub_api", "hub_endpoint", "hub_token", "no_token", "status_of", "unreachable"]

T = TypeVar("T")

TOKENS_PAGE = "https://huggingface.co/settings/tokens"
# The client itself waits for ever for a server that accepts and says nothing, in most of its calls.
_WAIT_S = {"connect": 10.0, "read": 120.0, "write": 120.0}
_TRIES = 3
_LONGEST_PAUSE_S = 60.0


def hub_token() -> str | None:
    """`HF_TOKEN`, else `HUGGINGFACE_TOKEN`, else what `hf auth login` stored, unless HF_HUB_DISABLE_IMPLICIT_TOKEN."""
    for variable in ("HF_TOKEN", "HUGGINGFACE_TOKEN"):
        if value := os.environ.get(variable, "").strip():
            return value
    from huggingface_hub import constants, get_token

    return None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()


def hub_endpoint() -> str | None:
    """`HF_ENDPOINT` as it is now (the client reads it once, when it is imported); None for huggingface.co."""
    return os.environ.get("HF_ENDPOINT") or None


def hub_api() -> HfApi:
    """The client with our token, or with none at all: it never looks for another one by itself."""
    from huggingface_hub import HfApi, constants, get_session
    from huggingface_hub.utils import disable_progress_bars

    constants.HF_HUB_DISABLE_TELEMETRY = True  # it says what else is installed, and costs a request in each process
    hooks = get_session().event_hooks
    if _bound_waits not in hooks["request"]:
        get_session().event_hooks = {**hooks, "request": [*hooks["request"], _bound_waits]}
    if not sys.stderr.isatty() and constants.HF_HUB_DISABLE_PROGRESS_BARS is None:
        disable_progress_bars()  # one of its bars forgets to ask whether anybody is looking
    return HfApi(endpoint=hub_endpoint(), token=hub_token() or False, library_name="takeover")


def _bound_waits(request: Any) -> None:
    """Put a bound wherever a call has none: most pass None on, which beats whatever the session says."""
    given = request.extensions.get("timeout") or {}
    request.extensions["timeout"] = {**given, **{key: _WAIT_S[key] for key in _WAIT_S if given.get(key) is None}}


def no_token(doing: str) -> AuthError:
    """For what cannot be done without a token."""
    return AuthError(
        f"there is no token for the Hugging Face Hub, and {doing} needs one",
        why="HF_TOKEN and HUGGINGFACE_TOKEN are not set, and nobody is logged in. Nothing was created.",
        fix=f"Make a token with write rights at {TOKENS_PAGE} and set HF_TOKEN to it.",
    )


def asking(call: Callable[[], T]) -> T:
    """The answer to a question that changes nothing: asked again, at most twice, where the Hub was only busy.

    A Hub that says when its limit ends is waited for, unless that is more than a minute.
    """
    from tenacity import Retrying, retry_if_exception, stop_after_attempt

    retrying = Retrying(
        retry=retry_if_exception(_passes),
        stop=stop_after_attempt(_TRIES),
        wait=lambda state: _pause_s(state.outcome.exception() if state.outcome else None, state.attempt_number),
        sleep=lambda seconds: time.sleep(seconds),
        reraise=True,
    )
    return retrying(call)


def _passes(error: BaseException) -> bool:
    from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled

    status = status_of(error)
    if status is not None:
        return status in (408, 429, 500, 502, 503, 504) and (_limit_ends_in_s(error) or 0.0) <= _LONGEST_PAUSE_S
    return isinstance(error, HTTPError) and not isinstance(error, OfflineModeIsEnabled)


def _pause_s(error: BaseException | None, attempt: int) -> float:
    ends_in = _limit_ends_in_s(error) if error is not None else None
    return 0.25 * 2.0**attempt if ends_in is None else ends_in + 1.0


def status_of(error: BaseException) -> int | None:
    """The HTTP status of the Hub's answer, None where it gave none (no network, a cut connection)."""
    from huggingface_hub.errors import HfHubHTTPError

    return int(error.response.status_code) if isinstance(error, HfHubHTTPError) else None


def _limit_ends_in_s(error: BaseException) -> float | None:
    """Seconds, from the header RateLimit (`"api";r=0;t=55`) or Retry-After."""
    from huggingface_hub.utils import parse_ratelimit_headers

    headers = getattr(getattr(error, "response", None), "headers", {})
    limit = parse_ratelimit_headers(headers)
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    after = headers.get("Retry-After", "")
    return float(after) if after.isdigit() else None


def explained(error: BaseException, repo: str, subject: str, noun: str) -> TakeoverError | None:
    """The error in our words, or None for one that only `unreachable` can describe.

    `repo` is `org/name`, `subject` the address as the user wrote it, `noun` what should be there (`adapter`).
    """
    return next((known for each in _chain(error) if (known := _known(each, repo, subject, noun)) is not None), None)


def unreachable(error: BaseException, subject: str, doing: str) -> VendorError:
    """For a Hub that did not answer, or not in a way that means anything here."""
    causes = list(_chain(error))
    said = next((text for each in causes if (text := _server_said(each))), f"{type(causes[-1]).__name__}.")
    return VendorError(
        f"{subject} could not be {doing}",
        why=f"The Hub's client said: {said}",
        fix="Check the network (and HF_ENDPOINT, HF_HUB_OFFLINE), then run the same command again.",
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _known(error: BaseException, repo: str, subject: str, noun: str) -> TakeoverError | None:
    from huggingface_hub import errors

    if isinstance(error, errors.OfflineModeIsEnabled):
        fix = "Unset HF_HUB_OFFLINE, or use what is in the cache already."
        return Refused(f"{subject} is not on this machine, and HF_HUB_OFFLINE forbids asking the Hub", fix=fix)
    if isinstance(error, errors.GatedRepoError):
        fix = f"Accept its terms at https://huggingface.co/{repo}, then `hf auth login` or set HF_TOKEN."
        return AuthError(f"{subject} is gated, and this account may not read it yet", fix=fix)
    if isinstance(error, errors.RevisionNotFoundError):
        fix = f"See https://huggingface.co/{repo}/commits/main."
        return Refused(f"{subject}: there is no such commit, branch or tag", fix=fix)
    if isinstance(error, errors.RepositoryNotFoundError) and not _bad_credentials(error):
        return Refused(f"{subject}: there is no such {noun}, or it is private", fix=_access_fix())
    return _by_status(error, repo, subject)


def _bad_credentials(error: Any) -> bool:
    """A token that is wrong or expired hides as `RepoNotFound`; the Hub's message tells them apart."""
    said = (error.server_message or "").lower()
    return error.response.status_code == 401 and ("credential" in said or "expired" in said or "token" in said)


def _access_fix() -> str:
    if hub_token() is None:
        return "Check the name; for a private one set HF_TOKEN (or HUGGINGFACE_TOKEN), or run `hf auth login`."
    return "Check the name; for a private one the owner of the token in use must have access to it."


def _by_status(error: BaseException, repo: str, subject: str) -> TakeoverError | None:
    status, said = status_of(error), _server_said(error)
    if status == 401:
        return AuthError(
            "the Hugging Face Hub does not accept the token",
            why=said,
            fix=f"It may have expired: make another at {TOKENS_PAGE} and set HF_TOKEN to it.",
            where=subject,
        )
    if status == 402 or (status == 403 and "storage" in said.lower()):
        return QuotaError(f"the account of {repo.partition('/')[0]} may not store this", why=said, where=subject)
    if status == 403:
        fix = f"Use a token whose owner may write to {repo.partition('/')[0]} ({TOKENS_PAGE})."
        return AuthError("the Hugging Face Hub forbids this to the token in use", why=said, fix=fix, where=subject)
    if status == 429:
        ends_in = _limit_ends_in_s(error)
        fix = f"Run the same command again in {ends_in:.0f} s." if ends_in else "Run the same command again later."
        return RateLimited("the Hugging Face Hub was asked too often", retry_after_s=ends_in, fix=fix, where=subject)
    if status is not None and 400 <= status < 500:
        return VendorError("the Hugging Face Hub refused the request", why=said, where=subject)
    return None


def _server_said(error: BaseException) -> str:
    """The Hub's own words and its request id, with the token cut out should it ever stand in them."""
    status = status_of(error)
    if status is None:
        return ""
    words = (getattr(error, "server_message", None) or "no reason given").strip()
    if token := hub_token():
        words = words.replace(token, "[secret]")
    request_id = getattr(error, "request_id", None)
    return f"{words.rstrip('.')} (HTTP {status}{f', request id {request_id}' if request_id else ''})."
