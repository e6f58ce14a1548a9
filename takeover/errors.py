"""Errors that say what happened, why, and what to do.

```
TakeoverError
├── Refused        bad input: nothing was created            exit code 2
│   └── Refusals   several mistakes of one input at once     exit code 2
├── AuthError      the vendor does not accept the key        exit code 3
├── QuotaError     the account may not have what is asked    exit code 3
├── NotReady       made, but not answering yet               exit code 4
│   └── ColdStart  scaled to zero and waking                 exit code 4
├── RateLimited    asked too often                           exit code 4
└── VendorError    the other side failed                     exit code 5
```
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar, TypeVar

__all__ = [
    "AuthError",
    "ColdStart",
    "NotReady",
    "QuotaError",
    "RateLimited",
    "Refusals",
    "Refused",
    "TakeoverError",
    "VendorError",
    "collected",
]

T = TypeVar("T")


class TakeoverError(Exception):
    """The base: `happened` (a sentence), `why`, `fix` (what to do), `where` (file, key or row).

    The parts are kept for programs (`--json`) and printed in that order for people. None may hold a secret.
    """

    exit_code: ClassVar[int] = 5

    def __init__(self, happened: str, *, why: str = "", fix: str = "", where: str = "") -> None:
        self.happened = happened
        self.why = why
        self.fix = fix
        self.where = where
        super().__init__(happened)

    def __str__(self) -> str:
        head = f"{self.where}: {self.happened}" if self.where else self.happened
        return "\n  ".join(part for part in (head, self.why, self.fix) if part)

    def parts(self) -> dict[str, str]:
        """The error as plain data, for `--json`."""
        return {
            "error": type(self).__name__,
            "happened": self.happened,
            "why": self.why,
            "fix": self.fix,
            "where": self.where,
        }


class Refused(TakeoverError):
    """The input is wrong; nothing was created."""

    exit_code = 2


class Refusals(Refused):
    """All mistakes of one input, as one numbered list."""

    def __init__(self, subject: str, mistakes: Iterable[Refused]) -> None:
        self.mistakes = tuple(mistakes)
        count = len(self.mistakes)
        super().__init__(f"{subject}: {count} {'mistake' if count == 1 else 'mistakes'}")

    def __str__(self) -> str:
        lines = [f"{self.happened}"]
        for number, mistake in enumerate(self.mistakes, start=1):
            lines.append(f"{number}. " + str(mistake).replace("\n", "\n   "))
        return "\n".join(lines)

    @classmethod
    def raise_if_any(cls, subject: str, mistakes: Iterable[Refused]) -> None:
        """Raise when there is at least one mistake; a single one is raised as a list of one."""
        found = tuple(mistakes)
        if found:
            raise cls(subject, found)


def collected(mistakes: list[Refused], ask: Callable[[], T]) -> T | None:
    """What `ask` gives, or None with all that it refused added to `mistakes`."""
    try:
        return ask()
    except Refusals as several:
        mistakes.extend(several.mistakes)
    except Refused as error:
        mistakes.append(error)
    return None


class AuthError(TakeoverError):
    """The credentials are missing, wrong or expired."""

    exit_code = 3


class QuotaError(TakeoverError):
    """The account may not have what is asked for."""

    exit_code = 3


class NotReady(TakeoverError):
    """It exists but cannot answer yet. `eta_s` and `retry_after_s` are seconds, None where unknown."""

    exit_code = 4

    def __init__(
        self,
        happened: str,
        *,
        eta_s: float | None = None,
        retry_after_s: float | None = None,
        why: str = "",
        fix: str = "",
        where: str = "",
    ) -> None:
        super().__init__(happened, why=why, fix=fix, where=where)
        self.eta_s = eta_s
        self.retry_after_s = retry_after_s


class ColdStart(NotReady):
    """It scaled to zero and is waking up."""


class RateLimited(TakeoverError):
    """Asked too often; `retry_after_s` is what the other side said, in seconds, or None."""

    exit_code = 4

    def __init__(
        self,
        happened: str,
        *,
        retry_after_s: float | None = None,
        why: str = "",
        fix: str = "",
        where: str = "",
    ) -> None:
        super().__init__(happened, why=why, fix=fix, where=where)
        self.retry_after_s = retry_after_s


class VendorError(TakeoverError):
    """The other side failed: its status, code and request id stand in `why`, never its headers."""

    exit_code = 5
