"""What a tier answers No to in the registry is refused with the registry's reason, and nothing is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from ground import Ground
from pydantic import SecretStr

from takeover.errors import Refused
from takeover.providers._base import Endpoint
from takeover.tiers import Feature, No, all_tiers

NAME = "demo-dev-0a1b2c3d"


def endpoint_of(ground: Ground) -> Endpoint:
    """One that nobody made: a refusal comes before anybody is asked."""
    return Endpoint(
        id=NAME,
        name=NAME,
        provider=ground.tier.name,
        url="http://127.0.0.1:9/v1",
        models=("tone@aaaaaaaaaaaa",),
        api_key=SecretStr("x"),
    )


async def ask_many_adapters(ground: Ground) -> None:
    models = (ground.model("a"), ground.model("b", name="other"))
    await ground.provider.deploy(models, ground.spec(NAME))


async def ask_scale_to_zero(ground: Ground) -> None:
    await ground.provider.scale(endpoint_of(ground), 0)


async def ask_deployed_at_zero(ground: Ground) -> None:
    await ground.provider.deploy((ground.model("a"),), ground.spec(NAME, minReplicas=0))


async def ask_replicas(ground: Ground) -> None:
    await ground.provider.scale(endpoint_of(ground), 2)


async def ask_deployed_replicas(ground: Ground) -> None:
    await ground.provider.deploy((ground.model("a"),), ground.spec(NAME, maxReplicas=2))


async def ask_logprobs(ground: Ground) -> None:
    await ground.provider.inference(endpoint_of(ground), "hello", logprobs=True)


async def ask_regions(ground: Ground) -> None:
    options = {"regions": ["eu-west-1"]}
    await ground.provider.deploy((ground.model("a"),), ground.spec(NAME, options=options))


async def ask_metrics(ground: Ground) -> None:
    await ground.provider.get_metrics(endpoint_of(ground))


@dataclass(frozen=True)
class Asking:
    """A way to ask for a feature through the protocol."""

    id: str
    feature: Feature
    ask: Callable[[Ground], Awaitable[None]]


ASKINGS = [
    Asking("several adapters in one deploy", Feature.MANY_ADAPTERS, ask_many_adapters),
    Asking("scaling to zero", Feature.SCALE_TO_ZERO, ask_scale_to_zero),
    Asking("a deploy that may be at zero", Feature.SCALE_TO_ZERO, ask_deployed_at_zero),
    Asking("scaling to two", Feature.REPLICAS, ask_replicas),
    Asking("a deploy of up to two", Feature.REPLICAS, ask_deployed_replicas),
    Asking("a question with log-probabilities", Feature.LOGPROBS, ask_logprobs),
    Asking("a deploy in a region", Feature.REGIONS, ask_regions),
    Asking("metrics", Feature.METRICS, ask_metrics),
]

# Qualities of a tier that the settings' rules judge; no call of the protocol asks for them.
QUALITIES = {Feature.RUNTIME_SWAP, Feature.STREAMING, Feature.WARM, Feature.UNLIMITED_RATE}

ROWS = [(tier.row, asking) for tier in all_tiers() for asking in ASKINGS if not tier.answers(asking.feature)]


def test_every_feature_can_be_asked_for_or_is_a_quality() -> None:
    assert {asking.feature for asking in ASKINGS} | QUALITIES == set(Feature)
    assert {asking.feature for asking in ASKINGS} & QUALITIES == set()


@pytest.mark.parametrize(
    ("ground", "asking"), ROWS, ids=[f"{name} refuses {asking.id}" for name, asking in ROWS], indirect=["ground"]
)
async def test_what_the_registry_denies_is_refused_in_its_words(ground: Ground, asking: Asking) -> None:
    answer = ground.tier.supports[asking.feature]
    assert isinstance(answer, No)
    with pytest.raises(Refused) as caught:
        await asking.ask(ground)
    text = str(caught.value)
    assert answer.reason[1:] in text
    assert answer.instead in text
    assert ground.world.existing(NAME) == 0
    assert await ground.provider.find(NAME) is None


async def test_fewer_than_no_replicas_are_refused(ground: Ground) -> None:
    with pytest.raises(Refused, match="-1 replicas cannot be"):
        await ground.provider.scale(endpoint_of(ground), -1)


async def test_a_rank_above_the_tier_s_and_an_adapter_of_another_base_are_refused_together(ground: Ground) -> None:
    wrong = ground.model("a", rank=ground.tier.largest_rank + 1).model_copy(update={"base": "another"})
    with pytest.raises(Refused) as caught:
        await ground.provider.deploy((wrong,), ground.spec(NAME))
    assert f"serves ranks up to {ground.tier.largest_rank}" in str(caught.value)
    assert "was trained on another" in str(caught.value)
    assert await ground.provider.find(NAME) is None
