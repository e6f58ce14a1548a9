"""What Check finds wrong with inputs: all of it, by its place."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from plugin.inputs import Desired, Failure, check, parse
from plugin.wire import UNKNOWN, Secret
from takeover.providers._base import EndpointSpec, TrainedModel

MODEL = {"name": "a", "digest": "sha256:1", "servedName": "a@1", "path": "/a", "base": "tiny", "rank": 8}
SPEC = {"name": "x", "base": "tiny", "minReplicas": 1, "maxReplicas": 1, "options": {"port": 8000}, "labels": {}}
SOUND = {"provider": "local", "models": [MODEL], "spec": SPEC}


@dataclass(frozen=True)
class Case:
    """One sound input and one change of it."""

    id: str
    change: Callable[[dict[str, Any]], Any]
    failures: tuple[str, ...]


CASES = [
    Case("nothing is wrong", lambda it: None, ()),
    Case("a secret option is fine", lambda it: it["spec"]["options"].update(port=Secret(8000)), ()),
    Case("a missing input", lambda it: it.pop("models"), ("models",)),
    Case("an unknown input", lambda it: it.update(colour="red"), ("colour",)),
    Case("the engine's own input is none of ours", lambda it: it.update(__internal={}), ()),
    Case("a tier that there is not", lambda it: it.update(provider="moon"), ("provider",)),
    Case("a tier that is no text", lambda it: it.update(provider=7), ("provider",)),
    Case("models that are no list", lambda it: it.update(models={}), ("models",)),
    Case("no model", lambda it: it.update(models=[]), ("models",)),
    Case("a model without a digest", lambda it: it["models"][0].pop("digest"), ("models[0].digest",)),
    Case("a rank that is no number", lambda it: it["models"][0].update(rank="many"), ("models[0].rank",)),
    Case("a rank above the tier's", lambda it: it["models"][0].update(rank=4096), ("models[0].rank",)),
    Case("an adapter of another base", lambda it: it["models"][0].update(base="big"), ("models[0].base",)),
    Case("a spec without a base", lambda it: it["spec"].pop("base"), ("spec.base",)),
    Case("a key in the spec that there is not", lambda it: it["spec"].update(gpu=1), ("spec.gpu",)),
    Case("replicas where there is one", lambda it: it["spec"].update(maxReplicas=2), ("spec.maxReplicas",)),
    Case(
        "several mistakes at once",
        lambda it: (it.update(provider="moon", colour="red"), it["spec"].pop("name"), it["models"][0].pop("rank")),
        ("colour", "provider", "spec.name", "models[0].rank"),
    ),
    Case("an unknown tier is passed over", lambda it: it.update(provider=UNKNOWN), ()),
    Case("unknown models are passed over", lambda it: it.update(models=UNKNOWN), ()),
    Case("an unknown digest is passed over", lambda it: it["models"][0].update(digest=UNKNOWN, rank=4096), ()),
    Case(
        "what is known beside the unknown is checked",
        lambda it: (it["models"][0].update(digest=UNKNOWN), it["spec"].pop("base")),
        ("spec.base",),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_check_names_everything_that_is_wrong_by_its_path(case: Case) -> None:
    inputs = copy.deepcopy(SOUND)
    case.change(inputs)
    assert tuple(failure.path for failure in check(inputs)) == case.failures


def test_a_failure_s_reason_is_the_registry_s() -> None:
    inputs = copy.deepcopy(SOUND)
    inputs["spec"]["maxReplicas"] = 2
    assert check(inputs) == [
        Failure(
            "spec.maxReplicas",
            "local does not offer more than one replica. One process serves one machine. "
            "Instead: a dedicated or serverless tier",
        )
    ]


def test_inputs_are_read_with_their_secrets_opened() -> None:
    inputs = copy.deepcopy(SOUND)
    inputs["spec"]["options"] = Secret({"port": 8000})
    model = TrainedModel(name="a", digest="sha256:1", served_name="a@1", path="/a", base="tiny", rank=8)
    desired = Desired("local", (model,), EndpointSpec(name="x", base="tiny", options={"port": 8000}))
    assert parse(inputs) == desired
    assert (desired.id, desired.digests, desired.served) == ("local/x", ["sha256:1"], ["a@1"])
