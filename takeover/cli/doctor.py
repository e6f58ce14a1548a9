"""Commands: `takeover doctor`, `takeover orphans`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from takeover.cli._terminal import err, out, print_json
from takeover.errors import Refused

__all__ = ["register"]

_Json = Annotated[bool, typer.Option("--json", help="One JSON document, for a program.")]
_MARKS = {"good": "ok  ", "note": "note", "problem": "FAIL"}


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command()(doctor)
    app.command()(orphans)


def doctor(
    stack: Annotated[str | None, typer.Option("--stack", "-s", help="What this stack needs, and no more.")] = None,
    json: _Json = False,
) -> None:
    """Look at tools, credentials, disk and memory; each finding with its fix. Exit code 2 when something is wrong."""
    from takeover.engine.doctor import Case, Finding, examine, tier_of_stack

    findings: list[Finding] = []
    case = Case(stack)
    if stack is not None:
        try:
            case = tier_of_stack(stack)
        except Refused as error:
            findings.append(Finding("settings", "problem", str(error), error.fix))
    findings += examine(case)
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            out.print(f"{_MARKS[finding.level]}  {finding.check:<17} {finding.said}", markup=False)
            if finding.fix:
                out.print(f"{'':<24}{finding.fix}", markup=False)
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(2)


def orphans(
    remove: Annotated[str | None, typer.Option(metavar="NAME", help="Destroy this one of them.")] = None,
    json: _Json = False,
) -> None:
    """Whatever carries our label and is in no state and no outputs file that this machine knows."""
    from takeover.engine import orphans as search

    found, unseen = search.look()
    if remove is not None:
        search.remove(remove, found)
        err.print(f"removed {remove}", markup=False)
        return
    if json:
        print_json({"orphans": [asdict(each) for each in found], "notLookedAt": [asdict(each) for each in unseen]})
        return
    for each in found:
        out.print(f"{each.provider:<15} {each.name}\n{'':<16}{each.why}\n{'':<16}{each.fix}", markup=False)
    for hidden in unseen:
        err.print(f"not looked at: {hidden.provider}: {hidden.why}", markup=False)
    if not found:
        err.print("nothing is left over", markup=False)
