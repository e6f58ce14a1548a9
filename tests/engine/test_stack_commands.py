"""The commands that drive a stack, with a driver that only remembers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from takeover.cli import app
from takeover.engine import binary, stacks
from takeover.engine.binary import Engine
from takeover.engine.events import Line, Said, Step
from takeover.engine.stacks import Outcome
from takeover.errors import Refused

STEP = Step("takeover:index:Endpoint", "dev-ab12", "create", (), "urn:x")
ENDPOINT = {"url": "http://127.0.0.1:8000/v1", "model": "a@3fa9c1d20b77", "provider": "local", "apiKey": "[secret]"}


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the commands asked the driver to do."""
    done: list[str] = []

    class Remembers:
        def __init__(
            self, stack: str, program: Callable[[], None], on_line: Callable[[Line], None], **_: Callable[..., object]
        ) -> None:
            self.stack, self.on_line = stack, on_line

        def __getattr__(self, operation: Any) -> Callable[[], Outcome]:
            done.append(f"{operation} {self.stack}")
            self.on_line(Said("info", "a word of the program"))
            outputs = {"endpoint": ENDPOINT} if operation == "up" else {}
            return lambda: Outcome(self.stack, operation, {"create": 1}, (STEP,), (), 2, outputs)

    monkeypatch.setattr(stacks, "StackDriver", Remembers)
    return done


@dataclass(frozen=True)
class Case:
    id: str
    command: str
    operation: str
    stdout: str
    stderr: str


CASES = (
    Case("preview", "preview --stack dev", "preview dev", "", "preview dev: 1 to create, 2 s\n"),
    Case(
        "up prints where it answers",
        "up -s dev",
        "up dev",
        "url       http://127.0.0.1:8000/v1\nmodel     a@3fa9c1d20b77\nprovider  local\n",
        'up dev: 1 created, 2 s\nAsk it: takeover ask "..." --stack dev\n',
    ),
    Case("refresh", "refresh --stack dev", "refresh dev", "", "refresh dev: 1 created, 2 s\n"),
    Case("destroy with a yes", "destroy --stack dev --yes", "destroy dev", "", "destroy dev: 1 created, 2 s\n"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_data_goes_to_stdout_and_words_to_stderr(case: Case, operations: list[str]) -> None:
    result = CliRunner().invoke(app, case.command.split(), catch_exceptions=False)
    assert operations == [case.operation]
    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        case.stdout,
        f"  a word of the program\n{case.stderr}",
    )


def test_json_is_one_document(operations: list[str]) -> None:
    result = CliRunner().invoke(app, ["up", "--stack", "dev", "--json"], catch_exceptions=False)
    assert json.loads(result.stdout) == {
        "stack": "dev",
        "operation": "up",
        "changes": {"create": 1},
        "steps": [
            {"type": STEP.type, "name": STEP.name, "op": "create", "changed": [], "urn": "urn:x", "custom": True}
        ],
        "messages": [],
        "seconds": 2,
        "outputs": {"endpoint": ENDPOINT},
    }


@dataclass(frozen=True)
class Bad:
    id: str
    command: str
    message: str


BAD = (
    Bad("destroy without a yes, by a program", "destroy --stack dev", "taking dev down needs a yes"),
    Bad("destroy of nothing", "destroy", "name one thing to take down"),
    Bad("destroy of two things", "destroy --stack dev --outputs f.json --yes", "name one thing to take down"),
)


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_what_is_not_clear_is_refused_before_anything_is_done(case: Bad, operations: list[str]) -> None:
    with pytest.raises(Refused, match=case.message):
        CliRunner().invoke(app, case.command.split(), catch_exceptions=False)
    assert operations == []


@pytest.mark.parametrize("command", ["preview", "up", "refresh"])
def test_a_stack_must_be_named(command: str, operations: list[str]) -> None:
    assert CliRunner().invoke(app, [command]).exit_code == 2
    assert operations == []


def test_where_prints_the_engines_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "find", lambda _reasons: Engine(Path("/opt/pulumi"), (3, 274, 1), "PATH"))
    assert CliRunner().invoke(app, ["engine", "where"]).stdout == "/opt/pulumi\n"


def test_where_refuses_when_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TAKEOVER_CACHE", str(tmp_path))
    with pytest.raises(Refused, match="no Pulumi engine can be had"):
        CliRunner().invoke(app, ["engine", "where"], catch_exceptions=False)
