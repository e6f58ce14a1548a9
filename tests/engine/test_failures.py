"""What the engine printed becomes one error that says what to do, of the right kind."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from takeover.engine.events import Said
from takeover.engine.failures import failure, program_failure
from takeover.errors import QuotaError, Refusals, Refused, TakeoverError, VendorError

TRACEBACK = 'Traceback (most recent call last):\n  File "/x/_server.py", line 95, in run\n    f()\nValueError: boom\n'
NOISE = Said("error", "Resource monitor has terminated, shutting down")
LOCKED = """error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete \
the lock file with `pulumi cancel`.
  file:///s/.pulumi/locks/organization/takeover/dev/1.json: created by root@vm (pid 15887) at 2026-11-24T22:31:55Z"""


@dataclass(frozen=True)
class Case:
    id: str
    messages: tuple[Said, ...]
    printed: str
    error: type[TakeoverError]
    text: str


CASES = (
    Case(
        "a provider's check is bad input; the value is not repeated",
        (
            Said("error", "t:i:E resource 'e': property spec value {s3cret} has a problem: no name\nGive one.", "e"),
            NOISE,
        ),
        "",
        Refused,
        "e.spec: no name\n  Give one.",
    ),
    Case(
        "several checks are shown at once",
        (
            Said("error", "x: property a value {1} has a problem: too small", "e"),
            Said("error", "x: property b value {2} has a problem: too big", "e"),
            NOISE,
        ),
        "",
        Refusals,
        "stack dev: 2 mistakes\n1. e.a: too small\n2. e.b: too big",
    ),
    Case(
        "our plugin's errors begin with their class",
        (
            Said("error", "Refused: port 8000 is taken\n  by pid 4\n  choose another", "e"),
            Said("error", "update failed"),
        ),
        "",
        Refused,
        "port 8000 is taken\n  by pid 4\n  choose another",
    ),
    Case(
        "of several mistakes the text has crossed the engine",
        (Said("error", "Refused: the options: 2 mistakes\n1. a\n2. b", "e"),),
        "",
        Refused,
        "the options: 2 mistakes\n  1. a\n  2. b",
    ),
    Case(
        "another class of ours",
        (Said("error", "QuotaError: no H100 for this account", "e"),),
        "",
        QuotaError,
        "no H100 for this account",
    ),
    Case(
        "a class that is none of ours stays in the text",
        (Said("error", "KeyError: 'x'", "e"),),
        "",
        VendorError,
        "e: KeyError: 'x'",
    ),
    Case(
        "a provider's plain words",
        (Said("error", "the server died\n  last line", "e"), Said("error", "update failed"), NOISE),
        "",
        VendorError,
        "e: the server died\n  last line",
    ),
    Case(
        "no traceback is shown",
        (Said("error", f"python inline source runtime error: boom\n{TRACEBACK}"),),
        "",
        VendorError,
        "boom",
    ),
    Case(
        "the same words twice are said once",
        (Said("error", "no disk", "e"), Said("error", "no disk", "e")),
        "",
        VendorError,
        "e: no disk",
    ),
    Case(
        "two resources that failed for different reasons",
        (Said("error", "no disk", "a"), Said("error", "Refused: bad port", "b")),
        "",
        VendorError,
        "2 resources failed\n  a: no disk\n  bad port",
    ),
    Case(
        "warnings are no reason",
        (Said("warning", "old"),),
        "error: the disk is full\n",
        VendorError,
        "the Pulumi engine failed\n  the disk is full",
    ),
    Case(
        "a half-made resource's error keeps its class, as the engine counts it",
        (Said("error", "1 error occurred:\n\t* QuotaError: no GPU is left\n  ask for one", "e"),),
        "",
        QuotaError,
        "no GPU is left\n  ask for one",
    ),
    Case("only a consequence is known", (NOISE,), "", VendorError, "Resource monitor has terminated, shutting down"),
    Case("nothing is known", (), "", VendorError, "the Pulumi engine failed\n  It gave no reason."),
    Case(
        "a full disk",
        (Said("error", "could not write the checkpoint: write /s/x.json: no space left on device"),),
        "",
        Refused,
        "no space left to write the state of dev\n"
        "  The disk (or the quota) of the project's home (.takeover), of the backend, or of /tmp is full.\n"
        "  Free some space; takeover up --stack dev goes on from there.",
    ),
    Case(
        "another update runs",
        (),
        LOCKED,
        Refused,
        "another update of the stack dev is running (pid 15887 of root@vm, since 2026-11-24T22:31:55Z)\n"
        "  Two at once would write over each other's state; nothing was changed.\n"
        "  Wait until it ends. If it runs on another machine and is known to be dead: "
        "takeover pulumi cancel --yes --stack dev",
    ),
    Case(
        "a passphrase of another stack",
        (),
        "error: getting snapshot: incorrect passphrase",
        Refused,
        "the passphrase does not open the state of dev\n"
        "  It comes from PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE where one is set, else from the "
        "file `passphrase` in the project's home (.takeover), made with the first stack.\n"
        "  Unset these variables, or set the one that the stack was made with.",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_failure_is_one_clear_error(case: Case) -> None:
    error = failure(case.messages, case.printed, "dev")
    assert (type(error), str(error)) == (case.error, case.text)


def test_a_mistake_in_the_program_is_named_with_its_place() -> None:
    def program() -> None:
        raise ZeroDivisionError("division by zero")

    with pytest.raises(ZeroDivisionError) as caught:
        program()
    error = program_failure(caught.value)
    line = program.__code__.co_firstlineno + 1
    assert error.parts() == {
        "error": "TakeoverError",
        "happened": "the Pulumi program failed: ZeroDivisionError: division by zero",
        "why": "This is a mistake in its code, not in the stack's settings.",
        "fix": "",
        "where": f"test_failures.py:{line}",
    }
