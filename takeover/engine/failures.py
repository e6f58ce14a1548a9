"""Why an operation failed: pure functions from what the engine printed to one error of ours."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from takeover import errors
from takeover.engine.events import Said
from takeover.engine.locks import held
from takeover.errors import Refusals, Refused, TakeoverError, VendorError

__all__ = ["failure", "program_failure"]

# Said beside the real reason, as its consequence.
_CONSEQUENCES = re.compile(
    r"Resource monitor has terminated|resource monitor shut down|(update|preview|refresh|destroy) failed$"
    r"|an unhandled error occurred:"
)
_CHECK = re.compile(r"property (?P<key>\S+) value \{.*\} has a problem: (?P<reason>.*)", re.DOTALL)
_PREFIX = re.compile(r"^(error: )+|^python inline source runtime error: |^1 error occurred:\s*\* ")
_LOCKED_BY = re.compile(r"created by (\S+) \(pid (\d+)\) at (\S+)")
_DISK_FULL = "no space left on device"
_PASSPHRASE = ("incorrect passphrase", "passphrase must be set")
# pulumi-command says how a command ended, and all that it printed; one of ours says last what went wrong.
_COMMAND = re.compile(r"^(exit status \d+|signal: \w+): running \".*\":$")
# A provider's error crosses the engine as text: `Refused: the port is taken`, its parts on lines of their own.
_NAMED = re.compile(r"^(?P<name>[A-Z]\w+): (?P<text>.*)", re.DOTALL)


def failure(messages: Sequence[Said], printed: str, stack: str) -> TakeoverError:
    """The error of a failed operation: from the engine's messages, else from what it printed on stderr.

    Bad input is Refused (a check of a provider, a stack that is held, a wrong passphrase), all of it at once.
    """
    if "the stack is currently locked by" in printed or "Another update is currently in progress" in printed:
        by = _LOCKED_BY.search(printed)
        return held(stack, f"pid {by[2]} of {by[1]}, since {by[3]}" if by else "")
    if any(_DISK_FULL in text for text in (printed, *(message.text for message in messages))):
        return _disk_full(stack)
    if any(words in printed for words in _PASSPHRASE):
        return _wrong_passphrase(stack)
    found = [_one(message) for message in _reasons(messages)]
    if not found:
        return VendorError("the Pulumi engine failed", why=_first_error(printed) or "It gave no reason.")
    if len(found) == 1:
        return found[0]
    refused = [error for error in found if isinstance(error, Refused)]
    if len(refused) == len(found):
        return Refusals(f"stack {stack}", refused)
    return VendorError(f"{len(found)} resources failed", why="\n  ".join(str(error) for error in found))


def _reasons(messages: Iterable[Said]) -> list[Said]:
    """The errors without their consequences, each once; when there is nothing else, the consequences."""
    said = list(dict.fromkeys(message for message in messages if message.severity == "error"))
    return [message for message in said if not _CONSEQUENCES.search(_head(message.text))] or said[:1]


def _one(message: Said) -> TakeoverError:
    text = _last_words(_PREFIX.sub("", _without_traceback(message.text)).strip())
    check = _CHECK.search(text)
    if check:
        happened, rest = _split(check["reason"])
        return Refused(happened, why=rest, where=f"{message.resource}.{check['key']}".strip("."))
    named = _NAMED.match(text)
    if named and _is_ours(named["name"]):
        happened, rest = _split(named["text"])
        return _class_of(named["name"])(happened, why=rest)
    happened, rest = _split(text)
    return VendorError(happened, why=rest, where=message.resource)


def _last_words(text: str) -> str:
    """Of a failed command's output the error that it ends with; any other text as it is."""
    first, *printed = text.splitlines() or [""]
    if not _COMMAND.match(first):
        return text
    named = [index for index, line in enumerate(printed) if (match := _NAMED.match(line)) and _is_ours(match["name"])]
    return "\n".join(printed[named[-1] :]) if named else text


def _is_ours(name: str) -> bool:
    return name in errors.__all__ and name != "Refusals"


def _class_of(name: str) -> type[TakeoverError]:
    found: type[TakeoverError] = getattr(errors, name)
    return found


def _split(text: str) -> tuple[str, str]:
    """A sentence, and what follows it on lines of its own."""
    head, _, rest = text.strip().partition("\n")
    return head.strip(), "\n  ".join(line.strip() for line in rest.splitlines() if line.strip())


def _head(text: str) -> str:
    return text.strip().partition("\n")[0]


def _without_traceback(text: str) -> str:
    """The message alone: a traceback says nothing to who typed the command."""
    return text.partition("Traceback (most recent call last)")[0].strip() or text.strip().splitlines()[-1]


def _first_error(printed: str) -> str:
    """The reason in what the engine printed: its `error:` line, else its last one."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    named = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (named or lines[-1:] or [""])[0]


def _wrong_passphrase(stack: str) -> Refused:
    return Refused(
        f"the passphrase does not open the state of {stack}",
        why="It comes from PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE where one is set, else from the "
        "file `passphrase` in the project's home (.takeover), made with the first stack.",
        fix="Unset these variables, or set the one that the stack was made with.",
    )


def _disk_full(stack: str) -> Refused:
    return Refused(
        f"no space left to write the state of {stack}",
        why="The disk (or the quota) of the project's home (.takeover), of the backend, or of /tmp is full.",
        fix=f"Free some space; takeover up --stack {stack} goes on from there.",
    )


def program_failure(error: BaseException) -> TakeoverError:
    """An exception of the Pulumi program that is none of ours: a mistake in its code, with its place."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return TakeoverError(
        f"the Pulumi program failed: {type(error).__name__}: {error}",
        why="This is a mistake in its code, not in the stack's settings.",
        where=place,
    )
