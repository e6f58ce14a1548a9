"""`command:local:Command` on the real engine: the same tests for the stand-in and, where there is one, the real plugin.

So a run with pulumi-command's own plugin on PATH is the proof that the stand-in does as it does.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi_command import local

from takeover.engine.stacks import Outcome, StackDriver
from takeover.errors import VendorError

pytestmark = pytest.mark.engine


@dataclass
class CommandStack:
    """A stack of one command, whose inputs the test varies; `seen` is what each run of it wrote down."""

    root: Path
    inputs: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    secret_outputs: list[str] = field(default_factory=list)

    def program(self) -> None:
        options = pulumi.ResourceOptions(additional_secret_outputs=self.secret_outputs)
        secrets = {name: pulumi.Output.secret(value) for name, value in self.secrets.items()}
        plain = dict(self.inputs)
        environment = {**plain.pop("environment", {}), **secrets}
        command = local.Command("it", opts=options, environment=environment, **plain)
        pulumi.export("stdout", command.stdout)

    def driver(self) -> StackDriver:
        return StackDriver("dev", self.program, project_dir=self.root)

    def up(self, **inputs: Any) -> tuple[list[str], Mapping[str, Any]]:
        """The operations on the command, and its outputs in the state."""
        self.inputs = inputs
        return operations(self.driver().up()), self.state()

    def preview(self, **inputs: Any) -> list[str]:
        self.inputs = inputs
        return operations(self.driver().preview())

    def commands(self) -> list[Mapping[str, Any]]:
        """The commands that the engine's state has."""
        return [each for each in self.driver().export()["resources"] if each["type"] == "command:local:Command"]

    def state(self) -> Mapping[str, Any]:
        [found] = self.commands()
        return found

    @property
    def seen(self) -> list[str]:
        file = self.root / "seen"
        return file.read_text().splitlines() if file.exists() else []


def operations(outcome: Outcome) -> list[str]:
    return [step.op for step in outcome.steps if step.name == "it"]


@pytest.fixture
def commands(
    engine: Path, command_plugin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CommandStack]:
    root = tmp_path / "project"
    root.mkdir()
    (root / "Pulumi.yaml").write_text("name: takeover\nruntime: python\n")
    (root / "Pulumi.dev.yaml").write_text("config: {}\n")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi-home"))
    monkeypatch.setenv("TAKEOVER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("INHERITED", "from whoever runs the engine")
    monkeypatch.chdir(root)
    yield CommandStack(root)
    shutil.rmtree(tmp_path / "pulumi-home", ignore_errors=True)


def test_a_command_lives_as_pulumi_command_has_it(commands: CommandStack) -> None:
    made = {"create": "echo create $X >> seen; echo out; echo err >&2", "delete": "echo delete $X >> seen"}
    assert commands.preview(**made, environment={"X": "1"}, triggers=["a"]) == ["create"]
    assert commands.seen == []

    did, state = commands.up(**made, environment={"X": "1"}, triggers=["a"])
    assert (did, commands.seen) == (["create"], ["create 1"])
    assert (state["outputs"]["stdout"], state["outputs"]["stderr"]) == ("out", "err")
    assert (state["id"][:2], len(state["id"])) == ("it", len("it") + 8)
    # A refresh reads the state alone.
    assert dict(commands.driver().refresh().changes) == {"same": 2}

    # Another input runs `create` again in place; another trigger replaces, and the old one's `delete` runs last.
    assert commands.preview(**made, environment={"X": "2"}, triggers=["a"]) == ["update"]
    assert commands.up(**made, environment={"X": "2"}, triggers=["a"])[0] == ["update"]
    did, _ = commands.up(**made, environment={"X": "3"}, triggers=["b"])
    assert did == ["create-replacement", "delete-replaced"]
    assert commands.seen == ["create 1", "create 2", "create 3", "delete 2"]
    commands.driver().destroy()
    assert commands.seen[-1] == "delete 3"


def test_a_command_knows_its_surroundings_and_what_it_printed_before_and_hides_secrets(commands: CommandStack) -> None:
    commands.secret_outputs, commands.secrets = ["stderr"], {"X": "4711"}
    both = {
        "create": 'echo "$INHERITED"; pwd; cat; echo hush-$X >&2',
        "update": 'echo "after $PULUMI_COMMAND_STDOUT"',
    }
    _, state = commands.up(**both, stdin="words", logging="none")
    assert state["outputs"]["stdout"] == f"from whoever runs the engine\n{commands.root}\nwords"
    hidden = [state["inputs"]["environment"]["X"], state["outputs"]["environment"]["X"], state["outputs"]["stderr"]]
    assert ["ciphertext" in value for value in hidden] == [True] * 3
    assert "4711" not in json.dumps(commands.driver().export())
    did, state = commands.up(**both, stdin="others", logging="none")
    assert did == ["update"]
    assert state["outputs"]["stdout"].startswith("after from whoever runs the engine")


def test_a_failed_command_says_how_it_ended_and_what_it_printed_and_changes_nothing(commands: CommandStack) -> None:
    with pytest.raises(VendorError) as caught:
        commands.up(create="echo half done; echo no luck >&2; exit 7")
    text = str(caught.value)
    assert 'exit status 7: running "echo half done; echo no luck >&2; exit 7":' in text
    assert ("half done" in text, "no luck" in text) == (True, True)
    assert commands.commands() == []
    assert commands.up(create="echo first")[0] == ["create"]
    with pytest.raises(VendorError, match="exit status 1"):
        commands.up(create="false")
    state = commands.state()
    assert (state["inputs"]["create"], state["outputs"]["stdout"]) == ("echo first", "first")
