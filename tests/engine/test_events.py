"""The engine's events, as recorded from v3.274.1 (2026-11-24), become lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from pulumi.automation.events import EngineEvent

from takeover.engine.events import (
    Failed,
    Finished,
    Line,
    Said,
    Started,
    Step,
    Summary,
    outcome_words,
    read_event,
)

URN = "urn:pulumi:dev::takeover::takeover:hosting:Local$takeover:index:Endpoint::takeover-dev-ab12"
STACK = "urn:pulumi:dev::takeover::pulumi:pulumi:Stack::takeover-dev"
TYPE = "takeover:index:Endpoint"


def step_event(kind: str, op: str, **more: Any) -> dict[str, Any]:
    metadata = {
        "op": op,
        "urn": URN,
        "type": TYPE,
        "old": None,
        "new": {"custom": True},
        "detailedDiff": None,
        "provider": "",
    }
    return {kind: {"metadata": metadata | more.pop("metadata", {}), **more}}


def diagnostic(message: str, severity: str, **more: Any) -> dict[str, Any]:
    return {"diagnosticEvent": {"prefix": "", "message": message, "color": "never", "severity": severity} | more}


@dataclass(frozen=True)
class Case:
    id: str
    event: dict[str, Any]
    line: Line | None


DIFF = {"detailedDiff": {"spec.options": {"diffKind": "update"}, "models[0].digest": {"diffKind": "update"}}}
CASES = (
    Case(
        "a preview's step, with what differs",
        step_event("resourcePreEvent", "update", metadata=DIFF, planning=True),
        Started(Step(TYPE, "takeover-dev-ab12", "update", ("models[0].digest", "spec.options"), URN), planning=True),
    ),
    Case(
        "a step that begins",
        step_event("resourcePreEvent", "create"),
        Started(Step(TYPE, "takeover-dev-ab12", "create", (), URN), planning=False),
    ),
    Case(
        "top-level keys, where a provider gives no detail",
        step_event("resourcePreEvent", "update", metadata={"diffs": ["spec", "models"]}, planning=True),
        Started(Step(TYPE, "takeover-dev-ab12", "update", ("models", "spec"), URN), planning=True),
    ),
    Case(
        "a step that ends",
        step_event("resOutputsEvent", "create"),
        Finished(Step(TYPE, "takeover-dev-ab12", "create", (), URN)),
    ),
    Case(
        "a refresh ends as what it found",
        step_event("resOutputsEvent", "same"),
        Finished(Step(TYPE, "takeover-dev-ab12", "same", (), URN)),
    ),
    Case("an end in a preview says nothing new", step_event("resOutputsEvent", "create", planning=True), None),
    Case(
        "a component is told from a resource",
        step_event("resourcePreEvent", "create", metadata={"new": {"custom": False}}),
        Started(Step(TYPE, "takeover-dev-ab12", "create", (), URN, custom=False), planning=False),
    ),
    Case("what stays the same", step_event("resourcePreEvent", "same"), None),
    Case("the sum of a replacement", step_event("resourcePreEvent", "replace"), None),
    Case(
        "the stack itself",
        step_event("resourcePreEvent", "create", metadata={"urn": STACK, "type": "pulumi:pulumi:Stack"}),
        None,
    ),
    Case(
        "a default provider",
        step_event("resourcePreEvent", "create", metadata={"type": "pulumi:providers:takeover"}),
        None,
    ),
    Case(
        "a step that fails",
        step_event("resOpFailedEvent", "create", status=0, steps=1),
        Failed(Step(TYPE, "takeover-dev-ab12", "create", (), URN)),
    ),
    Case(
        "a plugin's message loses its colour and gains its resource",
        diagnostic("<{%reset%}>loading the base<{%reset%}>\n", "info", urn=URN),
        Said("info", "loading the base", "takeover-dev-ab12"),
    ),
    Case(
        "a message that passes",
        diagnostic("34 %", "info", urn=URN, ephemeral=True),
        Said("info", "34 %", "takeover-dev-ab12", passing=True),
    ),
    Case(
        "the program's own words have no resource", diagnostic("serves x", "info", urn=STACK), Said("info", "serves x")
    ),
    Case("a process's stderr is information", diagnostic("hm", "info#err"), Said("info", "hm")),
    Case("a warning", diagnostic("careful", "warning"), Said("warning", "careful")),
    Case("debugging is not for people", diagnostic("registering", "debug"), None),
    Case("an empty line", diagnostic("\n", "info"), None),
    Case(
        "the end",
        {"summaryEvent": {"maybeCorrupt": False, "durationSeconds": 3, "resourceChanges": {"create": 2, "same": 1}}},
        Summary({"create": 2, "same": 1}, 3),
    ),
    Case("the prelude", {"preludeEvent": {"config": {"takeover:hosting": "{}"}}}, None),
    Case("the last event", {"cancelEvent": {}}, None),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_event_becomes_a_line(case: Case) -> None:
    assert read_event(EngineEvent.from_json({"sequence": 1, "timestamp": 1} | case.event)) == case.line


@dataclass(frozen=True)
class Counts:
    id: str
    words: str
    changes: dict[str, int] = field(default_factory=dict)
    planning: bool = False


COUNTS = (
    Counts("a first up", "2 created", {"create": 2}),
    Counts(
        "a preview", "1 to create, 1 to replace, 3 unchanged", {"same": 3, "replace": 1, "create": 1}, planning=True
    ),
    Counts("zeros are left out", "1 updated", {"update": 1, "delete": 0}),
    Counts("an operation nobody foresaw keeps its name", "1 deleted, 2 discard", {"discard": 2, "delete": 1}),
    Counts("nothing", "nothing to do"),
)


@pytest.mark.parametrize("case", COUNTS, ids=lambda case: case.id)
def test_counts_are_put_in_words(case: Counts) -> None:
    assert outcome_words(case.changes, planning=case.planning) == case.words
