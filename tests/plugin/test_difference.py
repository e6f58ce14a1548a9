"""What an update would change, against what is really there."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from plugin.difference import Change, Kind, difference, only_models_change
from plugin.wire import UNKNOWN, Secret

MODEL = {"name": "a", "digest": "sha256:1", "servedName": "a@1", "path": "/a", "base": "tiny", "rank": 8}
OTHER = {**MODEL, "name": "b", "digest": "sha256:2", "servedName": "b@2"}
SPEC = {"name": "x", "base": "tiny", "options": {"port": 0, "maxBatch": 8}, "labels": {"managed-by": "takeover"}}
INPUTS = {"provider": "local", "models": [MODEL], "spec": SPEC}
OUTPUTS = {**INPUTS, "url": "http://there/v1", "digests": ["sha256:1"], "healthy": True, "apiKey": Secret("k")}


def update(path: str, *, in_inputs: bool = True) -> Change:
    return Change(path, Kind.UPDATE, in_inputs)


@dataclass(frozen=True)
class Case:
    """What is there and what is wanted, and one change of either."""

    id: str
    change: Callable[[dict[str, Any], dict[str, Any]], Any]
    changes: tuple[Change, ...]


CASES = [
    Case("nothing", lambda old, new: None, ()),
    Case("the same adapter in another folder", lambda old, new: new["models"][0].update(path="/b"), ()),
    Case("the same option as a secret", lambda old, new: new["spec"].update(options=Secret(SPEC["options"])), ()),
    Case(
        "another version",
        lambda old, new: new["models"][0].update(digest="sha256:2", servedName="a@2", path="/b"),
        (update("models[0].digest"), update("models[0].servedName")),
    ),
    Case("one more adapter", lambda old, new: new["models"].append(OTHER), (Change("models[1]", Kind.ADD),)),
    Case("one adapter less", lambda old, new: old["models"].append(OTHER), (Change("models[1]", Kind.DELETE),)),
    Case(
        "another option", lambda old, new: new["spec"]["options"].update(maxBatch=4), (update("spec.options.maxBatch"),)
    ),
    Case("one option more", lambda old, new: new["spec"]["options"].update(a=1), (Change("spec.options.a", Kind.ADD),)),
    Case(
        "one option less",
        lambda old, new: new["spec"]["options"].pop("port"),
        (Change("spec.options.port", Kind.DELETE),),
    ),
    Case(
        "a label whose name is no plain one",
        lambda old, new: new["spec"]["labels"].update({"managed-by": "us"}),
        (update('spec.labels["managed-by"]'),),
    ),
    Case("another name replaces it", lambda old, new: new["spec"].update(name="y"), (update("spec.name"),)),
    Case("another base replaces it", lambda old, new: new["spec"].update(base="big"), (update("spec.base"),)),
    Case("another tier replaces it", lambda old, new: new.update(provider="moon"), (update("provider"),)),
    Case("models that are not known yet", lambda old, new: new.update(models=UNKNOWN), (update("models"),)),
    Case(
        "a digest that is not known yet",
        lambda old, new: new["models"][0].update(digest=UNKNOWN),
        (update("models[0].digest"),),
    ),
    Case("a base that is not known yet", lambda old, new: new["spec"].update(base=UNKNOWN), (update("spec.base"),)),
    Case("drift: it serves nothing", lambda old, new: old.update(digests=[]), (update("digests", in_inputs=False),)),
    Case(
        "drift: it serves another",
        lambda old, new: old.update(digests=["sha256:9"]),
        (update("digests", in_inputs=False),),
    ),
    Case(
        "drift: it serves one too many",
        lambda old, new: old["digests"].append("sha256:9"),
        (update("digests", in_inputs=False),),
    ),
    Case(
        "drift: it does not answer", lambda old, new: old.update(healthy=False), (update("healthy", in_inputs=False),)
    ),
    Case(
        "what the program changes is told alone, for the deploy mends the drift with it",
        lambda old, new: (old.update(healthy=False), new["spec"]["options"].update(maxBatch=4)),
        (update("spec.options.maxBatch"),),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_difference_is_what_an_update_would_change(case: Case) -> None:
    old, new = copy.deepcopy(OUTPUTS), copy.deepcopy(INPUTS)
    case.change(old, new)
    assert tuple(difference(old, new)) == case.changes


@pytest.mark.parametrize("path", ["provider", "spec.name", "spec.base"])
def test_another_of_these_is_another_endpoint(path: str) -> None:
    assert update(path).replaces


@pytest.mark.parametrize("path", ["models[0].digest", "spec.options.port", "digests", "healthy", "models"])
def test_everything_else_is_changed_in_place(path: str) -> None:
    assert not update(path).replaces


def test_an_exchange_of_adapters_is_told_from_other_changes() -> None:
    swap = [update("models[0].digest"), Change("models[1]", Kind.ADD)]
    assert only_models_change(swap)
    assert not only_models_change([*swap, update("spec.options.port")])
    assert not only_models_change([update("healthy", in_inputs=False)])
