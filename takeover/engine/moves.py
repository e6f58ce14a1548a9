"""A stack that moves to another tier: what stays untouched until the outputs name the new one.

The engine deletes what the program no longer has before it writes the stack's outputs (pkg v3.274.1,
resource/deploy/step_executor.go, `stackOutputsEvent`). Applications would ask a tier that is gone, and find no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from takeover.engine.project import Project, stack_file
from takeover.engine.state import read_state
from takeover.errors import Refused, TakeoverError

__all__ = ["left_behind", "of_other_tiers", "require_unprotected"]

_STACK, _COMPONENTS, _ENDPOINT = "pulumi:pulumi:Stack", "takeover:hosting:", "takeover:index:Endpoint"


def left_behind(project: Project, stack: str) -> list[str]:
    """The URNs of what the stack has on another tier than its settings name; empty where it does not move.

    Refused where that is protected: the engine would say so when the new tier is up already. What is wrong with
    settings or state is none of this function's business: the operation itself tells it.
    """
    from takeover.settings import settings_from_stack_file
    from takeover.tiers import tier

    try:
        hosting = settings_from_stack_file(stack_file(project.root, stack)).hosting
        row, state = tier(hosting.provider, hosting.cluster).row, read_state(project, stack)
    except TakeoverError:
        return []
    behind = of_other_tiers(state, row)
    require_unprotected(state, behind, stack)
    return behind


def require_unprotected(state: Mapping[str, Any], urns: Sequence[str], stack: str) -> None:
    """Refused, with the way, where one of these must not be deleted. Pure."""
    if any(each.get("protect") and each["urn"] in urns for each in state.get("resources") or ()):
        raise Refused(
            f"the stack {stack} moves to another tier, and what it has now is protected",
            why="Protection is taken off by the program, which has it only under the provider of before. Nothing was "
            "changed.",
            fix=f"Set takeover:hosting.provider back and takeover:hosting.protect: false, run `takeover up --stack "
            f"{stack}`, and move then.",
            where="takeover:hosting.protect",
        )


def of_other_tiers(state: Mapping[str, Any], row: str) -> list[str]:
    """The URNs of hosting components of other tiers than `row` (`Tier.row`), each with all that is below it. Pure.

    Empty while the stack has no outputs, for then nobody asks it. A component of which nothing tells the tier was not
    finished: it is the new one's.
    """
    resources = [each for each in state.get("resources") or () if not each.get("delete")]
    if not any(each["type"] == _STACK and each.get("outputs") for each in resources):
        return []
    children: dict[str, list[Mapping[str, Any]]] = {}
    for each in resources:
        children.setdefault(each.get("parent") or "", []).append(each)
    found: list[str] = []
    for each in resources:
        if each["type"].startswith(_COMPONENTS):
            tree = list(_tree(each, children))
            rows = set(_rows(tree))
            found += [below["urn"] for below in tree if rows and row not in rows]
    return found


def _tree(resource: Mapping[str, Any], children: Mapping[str, list[Mapping[str, Any]]]) -> Iterator[Mapping[str, Any]]:
    yield resource
    for child in children.get(resource["urn"], ()):
        yield from _tree(child, children)


def _rows(resources: list[Mapping[str, Any]]) -> Iterator[str]:
    """The tiers that a component's resources tell of: the native endpoint's inputs, or the component's own outputs."""
    from takeover.tiers import TIERS

    for each in resources:
        told = (each.get("inputs") if each["type"] == _ENDPOINT else each.get("outputs")) or {}
        if isinstance(told.get("spec"), Mapping) and told.get("provider") in TIERS:
            yield TIERS[told["provider"]].on(told["spec"].get("cluster")).row
