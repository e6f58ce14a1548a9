"""What every tier's provider must do, whoever the vendor is. No vendor's name stands in this file."""

from __future__ import annotations

import asyncio

import pytest
from ground import ROWS, Ground
from worlds import WORLDS

from takeover.engine.orphans import LISTINGS
from takeover.errors import TakeoverError
from takeover.providers._base import Endpoint, InferenceProvider
from takeover.providers._progress import reporting

NAME = "demo-dev-0a1b2c3d"


async def listed(ground: Ground) -> list[str]:
    """What `takeover orphans` sees on this tier; kinds of cluster with one provider have one listing."""
    (listing,) = [LISTINGS[row] for row in LISTINGS if ROWS[row].provider == ground.tier.provider]
    return await asyncio.to_thread(lambda: list(listing()))


def test_every_tier_has_a_world_and_no_world_is_without_a_tier() -> None:
    assert sorted(WORLDS) == sorted(ROWS)


async def test_a_provider_bears_its_tier_s_name_and_the_whole_protocol(ground: Ground) -> None:
    assert isinstance(ground.provider, InferenceProvider)
    assert ground.provider.name == ground.tier.name


async def test_an_endpoint_that_was_never_made_is_not_found(ground: Ground) -> None:
    assert await ground.provider.find(NAME) is None


async def test_a_deployed_endpoint_answers_and_tells_what_it_serves(ground: Ground) -> None:
    model = ground.model("a")
    endpoint = await ground.provider.deploy((model,), ground.spec(NAME))
    told = await ground.provider.describe(endpoint)
    assert told is not None
    assert (told.healthy, told.digests, told.models) == (True, (model.digest,), (model.served_name,))
    assert await ground.provider.find(NAME) == endpoint
    assert await ground.provider.inference(endpoint, "hello")
    assert (await ground.provider.get_metrics(endpoint)).requests is not None


async def test_deploying_twice_makes_one_endpoint(ground: Ground) -> None:
    model = ground.model("a")
    first = await ground.provider.deploy((model,), ground.spec(NAME))
    second = await ground.provider.deploy((model,), ground.spec(NAME))
    assert second == first
    assert ground.world.existing(NAME) == 1


async def test_another_version_takes_the_place_of_the_one_before(ground: Ground) -> None:
    old, new = ground.model("a"), ground.model("b")
    await ground.provider.deploy((old,), ground.spec(NAME))
    endpoint = await ground.provider.deploy((new,), ground.spec(NAME))
    told = await ground.provider.describe(endpoint)
    assert told is not None
    assert (endpoint.models, told.digests) == ((new.served_name,), (new.digest,))
    assert ground.world.existing(NAME) == 1


async def test_destroying_leaves_nothing_and_twice_is_silent(ground: Ground) -> None:
    endpoint = await ground.provider.deploy((ground.model("a"),), ground.spec(NAME))
    assert NAME in await listed(ground)
    await ground.provider.destroy(endpoint)
    await ground.provider.destroy(endpoint)
    assert ground.world.existing(NAME) == 0
    assert NAME not in await listed(ground)
    assert await ground.provider.find(NAME) is None
    assert await ground.provider.describe(endpoint) is None


async def test_a_server_that_dies_while_starting_shows_its_last_words(ground: Ground) -> None:
    ground.world.next_start_dies("there is no memory for the base")
    with pytest.raises(TakeoverError, match="there is no memory for the base"):
        await ground.provider.deploy((ground.model("a"),), ground.spec(NAME))


async def test_no_secret_is_in_what_anybody_may_see(ground: Ground, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    heard: list[str] = []
    with reporting(lambda step, sentence: heard.append(f"{step} {sentence}")):
        endpoint = await ground.provider.deploy((ground.model("a"),), ground.spec(NAME))
    told = await ground.provider.describe(endpoint)
    seen = "\n".join([repr(endpoint), str(endpoint), repr(told), *heard, caplog.text, ground.world.logs(NAME)])
    assert [secret for secret in ground.world.secrets(NAME) if secret in seen] == []


async def test_a_question_to_what_is_gone_is_an_error_of_ours(ground: Ground) -> None:
    endpoint: Endpoint = await ground.provider.deploy((ground.model("a"),), ground.spec(NAME))
    await ground.provider.destroy(endpoint)
    with pytest.raises(TakeoverError):
        await ground.provider.inference(endpoint, "hello")
    with pytest.raises(TakeoverError):
        await ground.provider.get_metrics(endpoint)
