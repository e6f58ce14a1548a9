"""What the engine reports, as plain values: pure functions from its event stream to lines for a person or a program."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from pulumi.automation.events import EngineEvent, StepEventMetadata

__all__ = ["Failed", "Finished", "Line", "Said", "Started", "Step", "Summary", "outcome_words", "read_event"]

# The engine's own bookkeeping: always there, never what the user asked about.
_HIDDEN_TYPES = ("pulumi:pulumi:Stack", "pulumi:providers:")
# `replace` is the sum of a create and a delete that are reported by themselves.
_HIDDEN_OPS = ("same", "replace", "read", "")
_COLOUR = re.compile(r"<\{%[^%]*%\}>")


@dataclass(frozen=True)
class Step:
    """One resource and what is done to it; `changed` are the property paths that differ.

    A component (`custom` false) only holds other resources together: nothing is done for it.
    """

    type: str
    name: str
    op: str
    changed: tuple[str, ...] = ()
    urn: str = ""
    custom: bool = True

    def __str__(self) -> str:
        what = f" ({', '.join(self.changed)})" if self.changed else ""
        return f"{self.type} {self.name}{what}"


@dataclass(frozen=True)
class Started:
    step: Step
    planning: bool


@dataclass(frozen=True)
class Finished:
    """Also for what stayed the same: a refresh begins as `refresh` and ends as what it found."""

    step: Step


@dataclass(frozen=True)
class Failed:
    step: Step


@dataclass(frozen=True)
class Said:
    """A message of the program, of a plugin or of the engine; `passing` ones replace each other on a terminal."""

    severity: Literal["info", "warning", "error"]
    text: str
    resource: str = ""
    passing: bool = False


@dataclass(frozen=True)
class Summary:
    """The end: how many resources had which operation (`same`, `create`, ...), and how long it took."""

    changes: Mapping[str, int] = field(default_factory=dict)
    seconds: int = 0


Line = Started | Finished | Failed | Said | Summary


def read_event(event: EngineEvent) -> Line | None:
    """One event as a line; None for what nobody needs to see (unchanged resources, debug messages)."""
    if event.resource_pre_event:
        step = _step(event.resource_pre_event.metadata)
        return Started(step, bool(event.resource_pre_event.planning)) if _worth_a_line(step) else None
    if event.res_outputs_event:
        step = _step(event.res_outputs_event.metadata)
        return Finished(step) if _worth_a_line(step, "same") and not event.res_outputs_event.planning else None
    if event.res_op_failed_event:
        return Failed(_step(event.res_op_failed_event.metadata))
    if event.diagnostic_event:
        said = event.diagnostic_event
        return _said(said.severity, said.message, said.urn or "", bool(said.ephemeral))
    if event.summary_event:
        changes = cast("Mapping[str, int]", event.summary_event.resource_changes)
        return Summary(dict(changes), event.summary_event.duration_seconds)
    return None


def _step(metadata: StepEventMetadata) -> Step:
    changed = metadata.detailed_diff or dict.fromkeys(metadata.diffs or ())
    state = metadata.new or metadata.old
    return Step(
        type=metadata.type,
        name=name_of(metadata.urn),
        op=str(metadata.op.value),
        changed=tuple(sorted(changed)),
        urn=metadata.urn,
        custom=bool(state and state.custom),
    )


def _worth_a_line(step: Step, *also: str) -> bool:
    return (step.op not in _HIDDEN_OPS or step.op in also) and not step.type.startswith(_HIDDEN_TYPES)


def _said(severity: str, message: str, urn: str, passing: bool) -> Said | None:
    text = _COLOUR.sub("", message).strip()
    level = severity.partition("#")[0]
    if not text or level not in ("info", "warning", "error"):
        return None
    resource = "" if "::pulumi:pulumi:Stack::" in urn else name_of(urn)
    return Said(level, text, resource, passing)  # type: ignore[arg-type]


def name_of(urn: str) -> str:
    """A resource's name: what stands after the last `::` of its URN."""
    return urn.rpartition("::")[2]


# In the order in which a person wants them; an operation of another name is shown as it is.
_WORDS = {
    "create": ("to create", "created"),
    "update": ("to update", "updated"),
    "replace": ("to replace", "replaced"),
    "delete": ("to delete", "deleted"),
    "import": ("to import", "imported"),
    "refresh": ("to refresh", "refreshed"),
    "same": ("unchanged", "unchanged"),
}


def outcome_words(changes: Mapping[str, int], *, planning: bool) -> str:
    """The counts in words, such as `2 created, 1 unchanged`; `nothing to do` for an empty stack."""
    known = [(name, changes[name]) for name in _WORDS if changes.get(name)]
    others = [(name, count) for name, count in changes.items() if name not in _WORDS and count]
    words = [f"{count} {_WORDS.get(name, (name, name))[0 if planning else 1]}" for name, count in known + others]
    return ", ".join(words) or "nothing to do"
