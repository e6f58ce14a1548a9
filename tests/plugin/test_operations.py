"""Create, update, read and delete over a provider in memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from fakes.memory_provider import MemoryProvider

from plugin.operations import HalfMade, Operations, ReadResult
from plugin.outputs import deployed
from plugin.wire import Secret
from takeover.errors import NotReady, Refused, TakeoverError, VendorError

MODEL = {"name": "a", "digest": "sha256:1", "servedName": "a@1", "path": "/a", "base": "tiny", "rank": 8}
INPUTS = {"provider": "local", "models": [MODEL], "spec": {"name": "x", "base": "tiny"}}
OUTPUTS = {
    **INPUTS,
    "url": "http://x/v1",
    "protocol": "openai",
    "model": "a@1",
    "served": ["a@1"],
    "digests": ["sha256:1"],
    "apiKey": Secret("k"),
    "regions": [],
    "replicasReady": 1,
    "coldStartMeasuredMs": None,
    "healthy": True,
}


def over(provider: MemoryProvider) -> Operations:
    return Operations(provider_of=lambda _name: provider)


async def test_a_deploy_gives_an_id_and_outputs() -> None:
    assert await over(MemoryProvider()).deploy(INPUTS) == ("local/x", OUTPUTS)


@dataclass(frozen=True)
class Failure:
    id: str
    error: TakeoverError


FAILURES = [
    Failure("not ready in time", NotReady("still loading")),
    Failure("the vendor fails", VendorError("it died")),
    Failure("refused half-way", Refused("too large")),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.id)
async def test_a_failure_before_anything_exists_is_told_as_it_is(failure: Failure) -> None:
    with pytest.raises(type(failure.error), match=failure.error.happened):
        await over(MemoryProvider(fails_before=failure.error)).deploy(INPUTS)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.id)
async def test_a_failure_after_something_exists_keeps_its_id_and_what_it_is(failure: Failure) -> None:
    with pytest.raises(HalfMade, match=failure.error.happened) as caught:
        await over(MemoryProvider(fails_after=failure.error)).deploy(INPUTS)
    assert caught.value.id == "local/x"
    assert caught.value.outputs == {**OUTPUTS, "healthy": False, "replicasReady": 0}
    assert caught.value.cause is failure.error


async def test_being_stopped_keeps_what_exists_too() -> None:
    provider = MemoryProvider(hangs=True)
    work = asyncio.create_task(over(provider).deploy(INPUTS))
    await provider.begun.wait()
    work.cancel()
    with pytest.raises(HalfMade) as caught:
        await work
    assert isinstance(caught.value.cause, asyncio.CancelledError)
    assert caught.value.outputs == {**OUTPUTS, "healthy": False, "replicasReady": 0}


async def test_where_nobody_can_look_the_first_failure_is_the_one_to_tell() -> None:
    provider = MemoryProvider(fails_after=NotReady("still loading"), fails_to_look=VendorError("blind"))
    with pytest.raises(NotReady, match="still loading"):
        await over(provider).deploy(INPUTS)


async def test_what_is_there_is_read_as_it_is() -> None:
    operations = over(MemoryProvider())
    await operations.deploy(INPUTS)
    assert await operations.read("local/x", INPUTS) == ReadResult("local/x", OUTPUTS, INPUTS)


async def test_what_is_gone_is_read_as_nothing_so_that_the_state_forgets_it() -> None:
    assert await over(MemoryProvider()).read("local/x", INPUTS) == ReadResult("", {}, {})


async def test_an_import_reads_the_inputs_from_the_other_side() -> None:
    operations = over(MemoryProvider())
    await operations.deploy(INPUTS)
    inputs = {**INPUTS, "models": [{**MODEL, "path": "", "rank": 0}]}
    assert await operations.read("local/x", {}) == ReadResult("local/x", {**OUTPUTS, **inputs}, inputs)


async def test_a_delete_removes_it_and_once_more_is_silent() -> None:
    provider = MemoryProvider()
    operations = over(provider)
    await operations.deploy(INPUTS)
    await operations.delete("local/x", OUTPUTS)
    await operations.delete("local/x", OUTPUTS)
    assert provider.made == {}
    assert provider.calls == ["deploy x", "destroy x at http://x/v1", "destroy x at http://x/v1"]


def test_the_outputs_of_a_deploy_are_those_that_a_read_gives() -> None:
    provider = MemoryProvider()
    asyncio.run(over(provider).deploy(INPUTS))
    found = asyncio.run(provider.find("x"))
    assert found is not None
    assert deployed(INPUTS, found) == asyncio.run(over(provider).read("local/x", INPUTS)).outputs
