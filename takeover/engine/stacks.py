"""One stack, driven by the real engine: preview, up, refresh, destroy, and what its state says.

The program runs in this process (an inline program of the Automation API), so no language host is needed; URNs and
state are the ones that plain `pulumi` makes in the project's folder.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from takeover.engine import binary
from takeover.engine.events import Line, Said, Started, Step, Summary, read_event
from takeover.engine.failures import failure, program_failure
from takeover.engine.locks import clear_dead
from takeover.engine.moves import left_behind
from takeover.engine.project import Project, open_project, stack_file, stack_names
from takeover.engine.state import NotUp, pending_creates, read_state, stack_outputs
from takeover.errors import Refused, TakeoverError, VendorError

if TYPE_CHECKING:
    from pulumi.automation import Stack
    from pulumi.automation.events import EngineEvent

    from takeover.engine.workspace import EngineCommand, ProjectWorkspace

__all__ = ["Outcome", "StackDriver", "stack_outputs"]

Operation = Literal["preview", "up", "refresh", "destroy"]
_PENDING = "pending operations from previous deployment"


@dataclass(frozen=True)
class Outcome:
    """How an operation ended. `changes` counts resources by operation; `outputs` have their secrets masked."""

    stack: str
    operation: Operation
    changes: Mapping[str, int]
    steps: tuple[Step, ...] = ()
    messages: tuple[Said, ...] = ()
    seconds: int = 0
    outputs: Mapping[str, Any] = field(default_factory=dict)


class _Journal:
    """Hears the engine's events in its thread, keeps what matters and hands on what a person should see."""

    def __init__(self, on_line: Callable[[Line], None]) -> None:
        self.on_line = on_line
        self.steps: list[Step] = []
        self.messages: list[Said] = []
        self.summary = Summary()
        self.interrupted = False

    def hear(self, event: EngineEvent) -> None:
        line = read_event(event)
        if isinstance(line, Said) and _PENDING in line.text:
            self.interrupted = True
            return
        if line is None:
            return
        if isinstance(line, Started):
            self.steps.append(line.step)
        elif isinstance(line, Said) and not line.passing:
            self.messages.append(line)
        elif isinstance(line, Summary):
            self.summary = line
        self.on_line(line)


class StackDriver:
    """Drives one stack with `program`, the function that `__main__.py` runs too.

    `say` hears sentences (what is waited for, what was mended), `on_line` the engine's events. `preload` imports what
    the program needs, while the engine starts. Every operation raises TakeoverErrors only: Refused for bad input
    (nothing was changed), what the program raised as it is, VendorError for the rest.
    """

    def __init__(
        self,
        stack: str,
        program: Callable[[], None],
        *,
        project_dir: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
        on_line: Callable[[Line], None] = lambda _: None,
        preload: Callable[[], object] = lambda: None,
    ) -> None:
        self.stack = stack
        self.project = open_project(project_dir)
        self.say = say
        self.on_line = on_line
        self._program = program
        self._preload = preload
        self._raised: list[TakeoverError] = []

    def preview(self) -> Outcome:
        """What `up` would do. Nothing is created, but the stack's empty state where it is new."""
        self._require_settings()
        if left_behind(self.project, self.stack):
            self.say("the stack moves: what it has now answers until the outputs name the new tier, and goes then")
        return self._operate("preview", creates=True)

    def up(self) -> Outcome:
        """Make the stack what its settings say; goes on where a killed run stopped.

        A change of tier is two runs, with the old tier answering until the outputs name the new one.
        """
        self._require_settings()
        self._clear_dead_locks()
        behind = left_behind(self.project, self.stack)
        if not behind:
            return self._operate("up", creates=True)
        made = self._operate("up", creates=True, leaving=behind)
        self.say("the outputs name the new tier now; removing what the stack had on the one before")
        self.on_line = _only_steps(self.on_line)
        return _followed(made, self._operate("up", creates=True))

    def refresh(self) -> Outcome:
        """Bring the state to what really runs; Refused for a stack that was never up."""
        self._clear_dead_locks()
        return self._operate("refresh")

    def destroy(self) -> Outcome:
        """Remove everything, also what a killed `up` had begun to make. A stack that was never up is a success."""
        self._clear_dead_locks()
        try:
            return self._operate("destroy")
        except NotUp:
            return Outcome(self.stack, "destroy", {})

    def outputs(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """As `stack_outputs`."""
        return stack_outputs(self.stack, project_dir=self.project.root, show_secrets=show_secrets)

    def export(self) -> dict[str, Any]:
        """The state as the engine keeps it: secrets are ciphertext."""
        return read_state(self.project, self.stack)

    def _require_settings(self) -> None:
        file = stack_file(self.project.root, self.stack)
        if not file.exists():
            names = ", ".join(stack_names(self.project.root)) or "none"
            raise Refused(
                f"there is no stack {self.stack}",
                why=f"{file.name} is not in {self.project.root}; stacks with settings: {names}.",
                fix="Name one of these, or write its settings file first.",
            )

    def _clear_dead_locks(self) -> None:
        state = self.project.state_folder()
        for lock in clear_dead(state, self.project.name, self.stack) if state else ():
            self.say(f"an earlier run was killed ({lock}); its lock is cleared, going on from what it had noted")

    def _open(self) -> tuple[Stack, ProjectWorkspace, EngineCommand]:
        # Here, because this import costs as much as the rest of the command line together.
        from pulumi.automation import Stack

        from takeover.engine.workspace import EngineCommand, ProjectWorkspace

        engine = binary.install(self.say)
        command = EngineCommand(engine, self.say)
        workspace = ProjectWorkspace(self.project, command, self._guarded, self.project.engine_env(engine.path))
        return Stack.select(self.stack, workspace), workspace, command

    def _guarded(self) -> None:
        """The program, whose exceptions are kept: the engine would turn them into a traceback's text."""
        from pulumi import RunError

        asyncio.get_running_loop().set_exception_handler(_end_in_order)
        try:
            self._program()
        except RunError:
            raise
        except TakeoverError as error:
            self._raised.append(error)
            raise RunError(error.happened) from None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported as a mistake in the program
            self._raised.append(program_failure(error))
            raise RunError(self._raised[-1].happened) from None

    def _preload_quietly(self) -> None:
        # What cannot be imported is reported when the program itself asks for it.
        with suppress(Exception):
            self._preload()

    def _operate(self, operation: Operation, *, creates: bool = False, leaving: Sequence[str] = ()) -> Outcome:
        from pulumi.automation import CommandError

        # The SDK prints a whole event, with its values, when it does not know one of its words.
        warnings.filterwarnings("ignore", message="Failed to parse engine event|Error in event stream")
        stack, workspace, command = self._open()
        journal = _Journal(self.on_line)
        if creates:
            threading.Thread(target=self._preload_quietly, daemon=True).start()
        try:
            self._run(operation, stack, workspace, journal, creates=creates, leaving=leaving)
            if journal.interrupted:
                self._mend(operation, stack, workspace, journal)
        except CommandError as error:
            raise self._reason(error, journal, command) from None
        outputs: dict[str, Any] = {}
        if operation == "up":
            # A program may export nothing, and is up all the same.
            with suppress(NotUp):
                outputs = self.outputs()
        summary = journal.summary
        return Outcome(
            self.stack,
            operation,
            dict(summary.changes),
            tuple(dict.fromkeys(journal.steps)),
            tuple(dict.fromkeys(journal.messages)),
            summary.seconds,
            outputs,
        )

    def _run(
        self,
        operation: Operation,
        stack: Stack,
        workspace: ProjectWorkspace,
        journal: _Journal,
        *,
        creates: bool,
        leaving: Sequence[str],
    ) -> None:
        """The operation on a copy of the settings file; makes the stack first where that is allowed and needed."""
        from pulumi.automation import StackAlreadyExistsError, StackNotFoundError

        try:
            _call(operation, stack, self.project, journal, leaving)
        except StackNotFoundError:
            if not creates:
                raise NotUp(self.stack) from None
            with suppress(StackAlreadyExistsError):
                workspace.create_stack(self.stack)
            _call(operation, stack, self.project, journal, leaving)

    def _mend(self, operation: Operation, stack: Stack, workspace: ProjectWorkspace, journal: _Journal) -> None:
        """After a run that was killed while creating: `up` has made it again (idempotent by name), `destroy` cannot.

        What `destroy` did not find in the state is removed by the provider itself; then the state forgets the rest.
        """
        from takeover.engine.interrupted import remove
        from takeover.engine.workspace import settings_copy

        if operation not in ("up", "destroy"):
            return
        pending = pending_creates(self.export())
        for resource in pending if operation == "destroy" else ():
            if remove(resource):
                self.say(f"removed {resource.name}, which a killed run had begun to create")
        if pending:
            with settings_copy(self.project, self.stack) as copy:
                stack.refresh(clear_pending_creates=True, show_secrets=False, config_file=str(copy))

    def _reason(self, error: Exception, journal: _Journal, command: EngineCommand) -> TakeoverError:
        from takeover.engine.workspace import Stopped

        if command.stopped:
            return Stopped(f"stopped; {self._remains()}", fix=f"takeover up --stack {self.stack} goes on from there.")
        if self._raised:
            return self._raised[0]
        if command.exit_code < 0:
            return VendorError(
                f"the engine was killed (signal {-command.exit_code})",
                why=f"{self._remains().capitalize()}.",
                fix=f"takeover up --stack {self.stack} goes on from there.",
            )
        printed = str(error).partition("\n stderr: ")[2]
        return failure(journal.messages, printed, self.stack)

    def _remains(self) -> str:
        """What the state holds now, in words."""
        try:
            state = read_state(self.project, self.stack)
        except TakeoverError:
            return "what remains is unknown, the state cannot be read"
        names = [
            r["urn"].rpartition("::")[2] for r in state.get("resources", ()) if not r["type"].startswith("pulumi:")
        ]
        begun = [resource.name for resource in pending_creates(state)]
        return f"the state holds {', '.join(names) or 'no resource'}" + (
            f"; begun and not finished: {', '.join(begun)}" if begun else ""
        )


def _end_in_order(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """When the engine is gone, end what waits for it.

    The SDK's own handler (pulumi/automation/_server.py, 3.272) stops the loop, even in its clean-up, which
    is then thrown away unfinished and complains on stderr long after the command's own message.
    """
    from grpc import RpcError

    if isinstance(context.get("exception"), RpcError):
        for task in asyncio.all_tasks(loop):
            task.cancel()
    else:
        loop.default_exception_handler(context)


def _only_steps(on_line: Callable[[Line], None]) -> Callable[[Line], None]:
    """Without what the program said already."""
    return lambda line: None if isinstance(line, Said) else on_line(line)


def _followed(first: Outcome, then: Outcome) -> Outcome:
    """Two runs as one: what the second found as it was has been counted already."""
    changes = dict(first.changes)
    for operation, count in then.changes.items():
        if operation != "same":
            changes[operation] = changes.get(operation, 0) + count
    done = (*first.steps, *(step for step in then.steps if step.op != "same"))
    return replace(then, changes=changes, steps=done, messages=first.messages, seconds=first.seconds + then.seconds)


def _call(operation: Operation, stack: Stack, project: Project, journal: _Journal, leaving: Sequence[str]) -> None:
    from takeover.engine.workspace import settings_copy

    with settings_copy(project, stack.name) as copy:
        if operation == "preview":
            stack.preview(config_file=str(copy), on_event=journal.hear)
        elif operation == "up":
            left = list(leaving) or None
            stack.up(config_file=str(copy), on_event=journal.hear, show_secrets=False, exclude=left)
        elif operation == "refresh":
            stack.refresh(config_file=str(copy), on_event=journal.hear, show_secrets=False)
        else:
            stack.destroy(config_file=str(copy), on_event=journal.hear, show_secrets=False)
