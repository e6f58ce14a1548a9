"""What Modal's client and its command line say when they fail, as the errors of `takeover.errors`. Pure.

The command line's output: PyPI modal 1.6.4, cli/entry_point.py and _traceback.py; an error's own words come last, after
"Error:" or after the exception's name below a box of source lines.
"""

from __future__ import annotations

import re

from takeover.errors import AuthError, NotReady, QuotaError, RateLimited, Refused, TakeoverError, VendorError
from takeover.modal_contract import REFUSED

__all__ = ["error_of_exception", "error_of_output", "hidden"]

_LAST_LINES = 12
_SAID = re.compile(r"^(?:Error|(?P<kind>[A-Z]\w*(?:Error|Exception|Exited))): ?(?P<text>.*)$")
# Tokens of Modal's, wherever they stand: ak- and as- of the account, wk- and ws- of a web token.
_TOKEN = re.compile(r"\b(ak|as|wk|ws)-[A-Za-z0-9]{6,}")
_AUTH = re.compile(r"\btoken\b.*\b(missing|expired|invalid|not valid|malformed|revoked|not found)", re.IGNORECASE)
_FAILED = re.compile(r"\b(internal|unavailable|timed out|timeout|try again)\b", re.IGNORECASE)
_FIX_ACCESS = (
    "Check MODAL_TOKEN_ID and MODAL_TOKEN_SECRET; https://modal.com/settings/tokens has new ones. Nothing was created."
)

# By the name of the client's exception.
_KINDS: dict[str, tuple[type[TakeoverError], str]] = {
    "AuthError": (AuthError, "Modal does not accept the token"),
    "PermissionDeniedError": (QuotaError, "Modal does not allow this"),
    "ResourceExhaustedError": (QuotaError, "the workspace's limit on Modal is reached"),
    "NotFoundError": (Refused, "Modal does not find what is named"),
    "InvalidError": (Refused, "Modal refused the request"),
    "AlreadyExistsError": (NotReady, "somebody else deploys this on Modal right now"),
    "ConflictError": (NotReady, "Modal cannot do this now"),
    "ConnectionError": (NotReady, "Modal cannot be reached"),
    "ServiceError": (VendorError, "Modal failed"),
    "TimeoutError": (NotReady, "Modal did not answer in time"),
    "RateLimitError": (RateLimited, "Modal is asked too often"),
}


def hidden(text: str) -> str:
    """The text without anything that looks like one of Modal's tokens."""
    return _TOKEN.sub("[secret]", text)


def error_of_exception(error: BaseException, what: str) -> TakeoverError:
    """The client's exception; `what` is what was being done."""
    names = [kind.__name__ for kind in type(error).__mro__]
    name = next((name for name in names if name in _KINDS), "ConnectionError" if isinstance(error, OSError) else "")
    return _error(name, str(error), why_first=f"While {what}")


def error_of_output(output: str, log: str, *, name: str) -> TakeoverError:
    """What a failed `modal deploy` meant. `output` is stderr, `log` stdout with the build's lines."""
    refused = output.find(REFUSED)
    if refused >= 0:
        return Refused(output[refused + len(REFUSED) :].strip(), fix="Nothing was deployed.")
    kind, text = _said(output)
    if "Image build" in text:
        return VendorError(
            f"Modal could not build the image of {name}",
            why=f"{_first_line(text)} The log ends:\n{hidden(_tail(log))}",
            fix="Mend what the log names, then run the same command again. Nothing was deployed.",
        )
    if "GPU" in text:
        why = hidden(f"Modal: {text}")
        fix = "Choose another takeover:modal.gpu, or ask Modal for this one. Nothing was deployed."
        return QuotaError("Modal does not give this workspace the GPU that is asked for", why=why, fix=fix)
    # A plain "Error:" is the client's for whatever Modal answered; most of it is about what was asked for.
    guessed = kind or ("ServiceError" if not text or _FAILED.search(text) else "InvalidError")
    return _error(guessed, text or _tail(log) or "it said nothing", why_first=f"modal deploy of {name}")


def _error(kind: str, text: str, *, why_first: str) -> TakeoverError:
    if _AUTH.search(text):
        kind = "AuthError"
    error, happened = _KINDS.get(kind, (VendorError, "Modal failed"))
    fix = _FIX_ACCESS if error is AuthError else ""
    return error(happened, why=hidden(f"{why_first}: {' '.join(text.split())}"), fix=fix)


def _said(output: str) -> tuple[str, str]:
    """The exception's name (empty for a plain `Error:`, `?` for anything else) and the words, to the output's end."""
    lines = output.strip().splitlines()
    for index in range(len(lines) - 1, -1, -1):
        match = _SAID.match(lines[index])
        if match:
            rest = " ".join([match["text"], *lines[index + 1 :]])
            return match["kind"] or "", " ".join(rest.split())
    return "?", " ".join(lines[-3:])


def _first_line(text: str) -> str:
    return re.split(r"(?<=[.:])\s", text, maxsplit=1)[0].rstrip(":") + "."


def _tail(log: str) -> str:
    lines = [line.rstrip() for line in log.splitlines() if line.strip()]
    return "\n".join(lines[-_LAST_LINES:])
