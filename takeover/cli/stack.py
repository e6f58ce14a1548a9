"""Commands that drive a stack by the real engine: preview, up, refresh, destroy, status, pulumi, engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from takeover.cli._terminal import err, out, print_json
from takeover.errors import Refused

__all__ = ["register"]

Stack = Annotated[str, typer.Option("--stack", "-s", help="The stack, such as dev (settings: Pulumi.dev.yaml).")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; secrets read [secret].")]
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}

engine_app = typer.Typer(help="Pulumi's engine itself.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    for command in (preview, up, refresh, destroy, status):
        app.command()(command)
    app.command("pulumi", context_settings=_PASS_ON, add_help_option=False)(pulumi)
    app.add_typer(engine_app, name="engine")


def preview(stack: Stack, as_json: AsJson = False) -> None:
    """Show what `up` would do and what it costs; create nothing."""
    _operate("preview", stack, as_json)


def up(stack: Stack, as_json: AsJson = False) -> None:
    """Make the stack what its settings say, and print where it answers."""
    _operate("up", stack, as_json)


def refresh(stack: Stack, as_json: AsJson = False) -> None:
    """Bring the state to what really runs; the next `up` mends what is dead or changed."""
    _operate("refresh", stack, as_json)


def destroy(
    stack: Annotated[str | None, typer.Option("--stack", "-s", help="The stack to take down.")] = None,
    outputs: Annotated[Path | None, typer.Option(help="What `takeover deploy` wrote, to take that down.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take everything down: a stack, or what `takeover deploy` put up without an engine."""
    if (stack is None) == (outputs is None):
        raise Refused("name one thing to take down", fix="takeover destroy --stack dev, or --outputs FILE")
    if outputs is not None:
        from takeover.cli.deploy import take_down

        take_down(outputs, as_json)
    elif stack is not None:
        _confirm(stack, yes)
        _operate("destroy", stack, as_json)


def _confirm(stack: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused(f"taking {stack} down needs a yes", fix=f"takeover destroy --stack {stack} --yes")
    if not typer.confirm(f"Take down everything in the stack {stack}?", err=True):
        raise Refused(f"{stack} was left as it is")


def _operate(operation: str, stack: str, as_json: bool) -> None:
    """Run one operation with progress on stderr; at the end the outcome, as words or as JSON."""
    from takeover.cli._watch import Watch
    from takeover.engine.events import outcome_words
    from takeover.engine.stacks import Outcome, StackDriver

    watch = Watch()
    driver = StackDriver(stack, _program, say=watch.say, on_line=watch.line, preload=_load_program)
    with watch.open():
        outcome: Outcome = getattr(driver, operation)()
    if as_json:
        print_json(asdict(outcome))
        return
    words = outcome_words(outcome.changes, planning=operation == "preview")
    err.print(f"{operation} {stack}: {words}, {outcome.seconds} s", markup=False, style="bold")
    endpoint = outcome.outputs.get("endpoint")
    if isinstance(endpoint, dict):
        _print_table(endpoint, ("url", "model", "provider"))
        err.print(f'Ask it: takeover ask "..." --stack {stack}', markup=False, style="dim")


def _load_program() -> Callable[[], None]:
    """The function that `__main__.py` runs too; its imports cost more than the rest of the command."""
    from components.program import program

    return program


def _program() -> None:
    _load_program()()


def _print_table(values: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if values.get(name) is not None:
            out.print(f"{name:<9} {values[name]}", markup=False)


def status(
    stack: Annotated[str | None, typer.Option("--stack", "-s", help="The stack.")] = None,
    outputs: Annotated[Path | None, typer.Option(help="What `takeover deploy` wrote, instead of a stack.")] = None,
    as_json: AsJson = False,
) -> None:
    """What is up, and whether the endpoint answers; exit code 4 when it is not up or does not answer."""
    if (stack is None) == (outputs is None):
        raise Refused("name one thing to look at", fix="takeover status --stack dev, or --outputs FILE")
    if outputs is not None:
        from takeover.cli.running import show_status

        show_status(outputs, as_json)
        return
    from takeover.engine.status import look

    found = look(str(stack))
    if as_json:
        print_json(asdict(found))
    else:
        out.print(str(found), markup=False)
    if not found.answers:
        raise typer.Exit(4)


def pulumi(context: typer.Context) -> None:
    """Pulumi's own command line in the project's environment: backend, passphrase, PATH."""
    from takeover.engine.binary import find_or_install
    from takeover.engine.project import open_project
    from takeover.engine.settings_guard import guarded_settings

    project = open_project()
    binary = find_or_install(lambda text: err.print(text, markup=False, style="dim"))
    env = os.environ | project.engine_env(binary)
    with guarded_settings(project.root):
        # The terminal signals both; the engine decides what a Ctrl-C means, and this process waits for it.
        before = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            code = subprocess.run([str(binary), *context.args], cwd=project.root, env=env, check=False).returncode
        finally:
            signal.signal(signal.SIGINT, before)
    raise typer.Exit(code if code >= 0 else 128 - code)


@engine_app.command()
def install() -> None:
    """Get the engine: from PATH, the SDK's installer, or a build from the Go module registry (minutes, once)."""
    from takeover.engine import binary

    engine = binary.install(lambda text: err.print(f"engine: {text}", markup=False))
    out.print(str(engine), markup=False)


@engine_app.command()
def where() -> None:
    """Print the path of the engine that is used; exit code 2 where there is none."""
    from takeover.engine import binary

    reasons: list[str] = []
    engine = binary.find(reasons)
    if engine is None:
        raise binary.missing(reasons)
    out.print(str(engine.path), markup=False)
