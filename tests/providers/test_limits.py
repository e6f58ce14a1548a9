"""What a tier cannot deploy, told all at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

import pytest

from takeover.errors import Refusals
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.providers._limits import require_deployable
from takeover.tiers import Feature, No, Tier, Yes, tier

MODEL = TrainedModel(name="a", digest="sha256:1", served_name="a@1", path="/a", base="tiny", rank=8)
SPEC = EndpointSpec(name="x", base="tiny")
OTHER = MODEL.model_copy(update={"served_name": "b@2"})
ABLE = replace(tier("local"), supports=MappingProxyType({feature: Yes() for feature in Feature}), largest_rank=64)
UNABLE = replace(ABLE, supports=MappingProxyType({feature: No("it is small", "a large one") for feature in Feature}))


def spec(**changes: object) -> EndpointSpec:
    return SPEC.model_copy(update=changes)


@dataclass(frozen=True)
class Case:
    id: str
    mistakes: tuple[str, ...]
    models: tuple[TrainedModel, ...] = (MODEL,)
    spec: EndpointSpec = SPEC
    tier: Tier = ABLE


CASES = [
    Case("no adapter", ("models",), models=()),
    Case("a rank above the tier's", ("models[0].rank",), models=(MODEL.model_copy(update={"rank": 65}),)),
    Case("an adapter of another base", ("models[0].base",), models=(MODEL.model_copy(update={"base": "other"}),)),
    Case("one adapter twice", ("models[1].servedName",), models=(MODEL, MODEL)),
    Case("more replicas at least than at most", ("spec.minReplicas",), spec=spec(min_replicas=3, max_replicas=2)),
    Case("several adapters where one is served", ("models",), models=(MODEL, OTHER), tier=UNABLE),
    Case("none at night where it never sleeps", ("spec.minReplicas",), spec=spec(min_replicas=0), tier=UNABLE),
    Case("replicas where there is one", ("spec.maxReplicas",), spec=spec(max_replicas=2), tier=UNABLE),
    Case(
        "a region where there is no choice",
        ("spec.options.regions",),
        spec=spec(options={"regions": ["eu"]}),
        tier=UNABLE,
    ),
    Case(
        "several mistakes at once",
        ("models[0].rank", "models[0].base", "spec.maxReplicas"),
        models=(MODEL.model_copy(update={"rank": 65, "base": "other"}),),
        spec=spec(max_replicas=2),
        tier=UNABLE,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_cannot_be_deployed_is_named_by_its_place(case: Case) -> None:
    with pytest.raises(Refusals) as caught:
        require_deployable(case.tier, case.models, case.spec)
    assert tuple(mistake.where for mistake in caught.value.mistakes) == case.mistakes


@pytest.mark.parametrize("record", [ABLE, UNABLE], ids=["an able tier", "an unable tier"])
def test_one_adapter_on_one_replica_is_what_every_tier_can_do(record: Tier) -> None:
    require_deployable(record, (MODEL,), SPEC)


def test_an_able_tier_takes_all_of_it() -> None:
    options = {"min_replicas": 0, "max_replicas": 5, "options": {"regions": ["eu"]}}
    require_deployable(ABLE, (MODEL, OTHER), SPEC.model_copy(update=options))
