"""What a stack's state says, read by the engine's own CLI: no Automation API, so it is quick."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from takeover.engine import binary
from takeover.engine.failures import failure
from takeover.engine.project import Project, open_project
from takeover.errors import Refused

__all__ = ["NotUp", "Pending", "pending_creates", "read_state", "stack_outputs", "states_of"]


@dataclass(frozen=True)
class Pending:
    """A resource whose creation had begun when its run was killed: nobody noted whether it exists."""

    type: str
    name: str
    inputs: Mapping[str, Any]


def stack_outputs(stack: str, *, project_dir: Path | None = None, show_secrets: bool = False) -> dict[str, Any]:
    """The stack's outputs; a secret is the text `[secret]` unless `show_secrets`.

    `project_dir` is the folder with Pulumi.yaml, or one below it; None: the current folder, else the clone.
    Refused, with the command to type, when the stack is not up, or where there is no engine (none is installed here).
    """
    arguments = ["stack", "output", "--json", "--stack", stack]
    found = _ask(open_project(project_dir), stack, arguments + ["--show-secrets"] * show_secrets)
    if not found:
        raise NotUp(stack)
    return found


def read_state(project: Project, stack: str) -> dict[str, Any]:
    """The state's deployment as it is kept: `resources`, `pending_operations`, `manifest`; secrets are ciphertext."""
    exported = _ask(project, stack, ["stack", "export", "--stack", stack])
    deployment: dict[str, Any] = exported.get("deployment") or {}
    return deployment


def states_of(project: Project) -> list[str]:
    """The names of all stacks in the backend, as `read_state` takes them; NotUp where there is no backend yet."""
    stacks: Any = _ask(project, "any", ["stack", "ls", "--all", "--json"])
    return [str(stack["name"]) for stack in stacks]


def pending_creates(state: Mapping[str, Any]) -> list[Pending]:
    """What a killed run had begun to create, from the state's deployment."""
    operations = state.get("pending_operations") or []
    begun = [operation["resource"] for operation in operations if operation.get("type") == "creating"]
    return [Pending(each["type"], each["urn"].rpartition("::")[2], each.get("inputs") or {}) for each in begun]


class NotUp(Refused):
    """The stack has no outputs, because it was never up or was taken down."""

    def __init__(self, stack: str) -> None:
        super().__init__(
            f"the stack {stack} is not up", why="Its state holds no endpoint.", fix=f"takeover up --stack {stack}"
        )


def _ask(project: Project, stack: str, arguments: list[str]) -> dict[str, Any]:
    """One question to the engine's CLI, answered in JSON."""
    state = project.state_folder()
    # Without this a mere question would make the state's folder and its passphrase.
    if state is not None and not state.exists():
        raise NotUp(stack)
    reasons: list[str] = []
    engine = binary.find(reasons)
    if engine is None:
        raise binary.missing(reasons)
    done = subprocess.run(
        [str(engine.path), "--non-interactive", "--color", "never", *arguments],
        cwd=project.root,
        env=os.environ | project.engine_env(engine.path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 and "no stack named" in done.stderr:
        raise NotUp(stack)
    if done.returncode != 0:
        raise failure((), done.stderr, stack)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
