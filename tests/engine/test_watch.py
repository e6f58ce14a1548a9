"""What a person reads while an operation runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from takeover.cli._watch import Watch, describe
from takeover.engine.events import Failed, Finished, Line, Said, Started, Step, Summary


def step(op: str, *changed: str) -> Step:
    return Step("takeover:index:Endpoint", "dev-ab12", op, changed, f"urn::{op.partition('-')[0]}")


@dataclass(frozen=True)
class Case:
    id: str
    step: Step
    words: str


CASES = (
    Case("a create", step("create"), "  + create takeover:index:Endpoint dev-ab12"),
    Case(
        "an update, with what differs",
        step("update", "a", "b.c"),
        "  ~ update takeover:index:Endpoint dev-ab12 (a, b.c)",
    ),
    Case("a delete", step("delete"), "  - delete takeover:index:Endpoint dev-ab12"),
    Case(
        "the new one of a replacement",
        step("create-replacement", "base"),
        "  + create takeover:index:Endpoint dev-ab12 (base) (replacement)",
    ),
    Case("the old one", step("delete-replaced"), "  - delete takeover:index:Endpoint dev-ab12 (replaced)"),
    Case("an operation nobody foresaw", step("frob"), "  * frob takeover:index:Endpoint dev-ab12"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_step_is_described(case: Case) -> None:
    assert describe(case.step, {}) == case.words


@dataclass(frozen=True)
class Run:
    id: str
    lines: tuple[Line, ...]
    shown: str


RUNS = (
    Run(
        "a preview shows what would be done",
        (Started(step("create"), planning=True), Said("info", "0 USD a month"), Summary({"create": 1}, 1)),
        "  + create takeover:index:Endpoint dev-ab12\n  0 USD a month\n",
    ),
    Run(
        "what stays the same after a refresh is not repeated",
        (Started(step("refresh"), planning=False), Finished(step("same"))),
        "    reading takeover:index:Endpoint dev-ab12\n",
    ),
    Run(
        "an error is left to the operation's own message",
        (Said("error", "no disk"), Failed(step("create"))),
        "  ! failed: creating takeover:index:Endpoint dev-ab12\n",
    ),
    Run("a warning is called so", (Said("warning", "slow disk", "dev-ab12"),), "  warning: dev-ab12: slow disk\n"),
    Run(
        "of what passes only some is kept where the screen is no terminal",
        (Said("info", "1 %", "x", passing=True), Said("info", "2 %", "x", passing=True)),
        "  x: 1 %\n",
    ),
    Run(
        "a component is shown where it is planned, and not where nothing is done for it",
        (
            Started(replace(step("create"), custom=False), planning=True),
            Started(replace(step("create"), custom=False), planning=False),
            Finished(replace(step("create"), custom=False)),
        ),
        "  + create takeover:index:Endpoint dev-ab12\n",
    ),
    Run("brackets are no markup", (Said("info", "[bold]x[/bold] [secret]"),), "  [bold]x[/bold] [secret]\n"),
)


@pytest.mark.parametrize("case", RUNS, ids=lambda case: case.id)
def test_lines_are_shown(case: Run, capsys: pytest.CaptureFixture[str]) -> None:
    watch = Watch()
    with watch.open():
        for line in case.lines:
            watch.line(line)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", case.shown)


def test_the_time_of_a_step_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    watch = Watch()
    watch.line(Started(step("create"), planning=False))
    assert watch.__rich__().startswith("creating dev-ab12 0.")
    watch.line(Said("info", "loading the base", "dev-ab12", passing=True))
    assert watch.__rich__().endswith(" s: loading the base")
    watch.line(Finished(step("create")))
    assert watch.__rich__() == "working"
    assert "  + created takeover:index:Endpoint dev-ab12 in 0.0 s\n" in capsys.readouterr().err
