"""What stays untouched while a stack moves to another tier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from takeover.engine.moves import of_other_tiers, require_unprotected
from takeover.errors import Refused

STACK = {"urn": "stack", "type": "pulumi:pulumi:Stack", "outputs": {"endpoint": {"provider": "local"}}}
LOCAL = {"urn": "local", "type": "takeover:hosting:Local", "parent": "stack", "outputs": {"url": "http://127.0.0.1:1"}}
MODAL = {"urn": "modal", "type": "takeover:hosting:Modal", "parent": "stack"}
PLACE = {"urn": "place", "type": "command:local:Command", "parent": "modal"}
DECLARED = {
    "urn": "pods",
    "type": "takeover:hosting:KubernetesVllm",
    "parent": "stack",
    "outputs": {"provider": "dedicated-vllm", "spec": {"cluster": "kubernetes"}},
}


def endpoint(provider: str, parent: str, cluster: str | None = None, **more: Any) -> dict[str, Any]:
    inputs = {"provider": provider, "spec": {"name": "x", "cluster": cluster}}
    urn = f"{parent}/endpoint"
    return {"urn": urn, "type": "takeover:index:Endpoint", "parent": parent, "inputs": inputs, **more}


@dataclass(frozen=True)
class Case:
    id: str
    resources: tuple[Mapping[str, Any], ...]
    row: str
    want: list[str]


CASES = [
    Case("no stack yet", (), "local", []),
    Case("the tier stays", (STACK, LOCAL, endpoint("local", "local")), "local", []),
    Case("another tier", (STACK, LOCAL, endpoint("local", "local")), "modal", ["local", "local/endpoint"]),
    Case(
        "all of a component that is made of several",
        (STACK, MODAL, PLACE, endpoint("modal", "modal")),
        "local",
        ["modal", "place", "modal/endpoint"],
    ),
    Case(
        "what a failed move has begun on the new tier is not left",
        (STACK, LOCAL, endpoint("local", "local"), MODAL, PLACE),
        "modal",
        ["local", "local/endpoint"],
    ),
    Case("a component that tells its tier itself", (STACK, DECLARED), "dedicated-vllm/existing", ["pods"]),
    Case("the same kind of cluster", (STACK, DECLARED), "dedicated-vllm/kubernetes", []),
    Case(
        "servers that run already are the kind where none is said",
        (STACK, {**MODAL, "urn": "vllm"}, endpoint("dedicated-vllm", "vllm")),
        "dedicated-vllm/existing",
        [],
    ),
    Case(
        "nobody asks what is in no output", ({**STACK, "outputs": {}}, LOCAL, endpoint("local", "local")), "modal", []
    ),
    Case(
        "what only waits to be deleted goes",
        (STACK, {**LOCAL, "delete": True}, endpoint("local", "local", delete=True)),
        "modal",
        [],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_is_on_another_tier_is_found_with_all_that_is_below_it(case: Case) -> None:
    assert of_other_tiers({"resources": list(case.resources)}, case.row) == case.want


def test_a_move_away_from_what_is_protected_is_refused_before_anything_is_made() -> None:
    state = {"resources": [STACK, LOCAL, endpoint("local", "local", protect=True)]}
    require_unprotected(state, [], "prod")
    with pytest.raises(Refused, match="the stack prod moves to another tier, and what it has now is protected"):
        require_unprotected(state, of_other_tiers(state, "modal"), "prod")
