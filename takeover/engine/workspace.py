"""The Automation API, bent in three ways: no tracked file changes, no call that is not needed, Ctrl-C that is safe."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from pulumi.automation import LocalWorkspace, OnOutput, PulumiCommand
from pulumi.automation._cmd import CommandResult
from pulumi.automation.errors import create_command_error
from semver import VersionInfo

from takeover.engine.binary import Engine, Say
from takeover.engine.project import Project, stack_file
from takeover.errors import TakeoverError
from takeover.folders import full_disk_refused

__all__ = ["EngineCommand", "ProjectWorkspace", "Stopped", "settings_copy"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(TakeoverError):
    """Ctrl-C, or SIGTERM: the engine was asked to stop, and has."""

    exit_code = 130


class EngineCommand(PulumiCommand):
    """Runs the engine in a session of its own, and hands Ctrl-C on to it once for each time it is typed.

    In one session the terminal would signal both processes, and the engine takes a second signal for "stop at once".
    """

    def __init__(self, engine: Engine, say: Say) -> None:
        # Not super().__init__(): it runs `pulumi version`, and the version is known.
        self.command = str(engine.path)
        self.version = VersionInfo(*engine.version)
        self.say = say
        self.stopped = False
        self.exit_code = 0

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: OnOutput | None = None,
        on_error: OnOutput | None = None,
    ) -> CommandResult:
        """As the SDK's: the output as text, CommandError when the engine fails."""
        process = subprocess.Popen(
            [self.command, "--non-interactive", "--color", "never", *args],
            cwd=cwd,
            env={**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        with _leashed(process), self._signals_go_to(process):
            stdout, stderr = process.communicate()
        for callback, text in ((on_output, stdout), (on_error, stderr)):
            if callback is not None:
                for line in text.splitlines():
                    callback(line)
        self.exit_code = process.returncode
        result = CommandResult(stdout=stdout.rstrip(), stderr=stderr.rstrip(), code=process.returncode)
        if process.returncode != 0:
            raise create_command_error(result)
        return result

    @contextmanager
    def _signals_go_to(self, process: subprocess.Popen[str]) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def hand_on(_number: int, _frame: FrameType | None) -> None:
            again = self.stopped
            self.stopped = True
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            self.say("stopping at once" if again else "stopping: waiting for what runs (Ctrl-C again stops at once)")

        before = {number: signal.signal(number, hand_on) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _leashed(process: subprocess.Popen[str]) -> Iterator[None]:
    """Within the block the engine dies with this process: without its program it cannot go on, and it holds the stack.

    A shell waits for the end of a pipe of ours, which the system closes however we end.
    """
    watch = subprocess.Popen(
        ["/bin/sh", "-c", 'read _; kill -KILL "$1"', "sh", str(process.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        watch.kill()
        watch.communicate()


class ProjectWorkspace(LocalWorkspace):
    """The project's folder as a workspace. The stack is named in every call; the user's own selection stays."""

    def __init__(
        self, project: Project, command: EngineCommand, program: Callable[[], None], env: Mapping[str, str]
    ) -> None:
        super().__init__(work_dir=str(project.root), program=program, env_vars=env, pulumi_command=command)
        self.project = project

    def select_stack(self, stack_name: str) -> None:
        """Nothing: whether it exists shows in the first call that uses it."""

    def create_stack(self, stack_name: str) -> None:
        """Make the stack from a folder of copies: the engine notes its secrets provider in the settings it finds."""
        with settings_copy(self.project, stack_name) as copy:
            (copy.parent / "Pulumi.yaml").write_text(json.dumps({"name": self.project.name, "runtime": "python"}))
            args = ["stack", "init", stack_name, "--no-select"]
            self.pulumi_command.run(args, str(copy.parent), self.env_vars)


@contextmanager
def settings_copy(project: Project, stack: str) -> Iterator[Path]:
    """A copy of the stack's settings file for one operation, under the same name; the original is never written."""
    original = stack_file(project.root, stack)
    with tempfile.TemporaryDirectory(dir=project.scratch(), prefix="settings-") as folder:
        copy = Path(folder) / original.name
        with full_disk_refused(copy):
            copy.write_bytes(original.read_bytes() if original.exists() else b"")
        yield copy
