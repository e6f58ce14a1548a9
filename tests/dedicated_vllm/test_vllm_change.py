"""A change of version: the new one beside the old one, and the old one goes when nobody can miss it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from fakes.vllm_server import Failure
from vllm_ground import Ground
from vllm_load import ask, load

from takeover.errors import TakeoverError, VendorError

DRAIN_S = 300


async def test_the_version_before_stays_loaded_after_a_deploy_because_its_name_is_still_in_the_outputs(
    two: Ground,
) -> None:
    old, new = two.model("a"), two.model("b")
    await two.deploy(old)
    endpoint = await two.deploy(new)
    assert two.cluster.names() == [sorted([old.served_name, new.served_name])] * 2
    told = await two.provider().describe(endpoint)
    assert told is not None
    assert (endpoint.models, told.healthy, told.digests) == ((new.served_name,), True, (new.digest,))
    assert f"{old.served_name} stays loaded until nobody has wanted it for 300 s" in two.said


async def test_no_request_is_lost_while_versions_change_and_applications_follow_late(two: Ground) -> None:
    """Every request is answered: by the old name until the application reads the outputs, then by the new one."""
    marks = "abcd"
    await two.deploy(two.model(marks[0]))
    statuses: list[int] = []
    for before, after in pairwise(marks):
        with load(two.cluster.url, two.model(before).served_name) as under:
            await two.deploy(two.model(after))
            while len(under.statuses) < 30:
                two.now += 1
                await two.deploy(two.model(after))
        statuses += under.statuses
        two.now += 10 * DRAIN_S
        await two.deploy(two.model(after))
        assert two.cluster.names() == [[two.model(after).served_name]] * 2
    assert set(statuses) == {200}


async def test_once_it_is_idle_long_enough_a_refresh_shows_it_and_the_next_deploy_unloads_it(two: Ground) -> None:
    old, new = two.model("a"), two.model("b")
    await two.deploy(old)
    endpoint = await two.deploy(new)
    two.now += DRAIN_S + 1
    told = await two.provider().describe(endpoint)
    assert told is not None
    assert (told.healthy, told.digests) == (True, (new.digest, old.digest))
    await two.deploy(new)
    assert two.cluster.names() == [[new.served_name]] * 2
    assert two.files() == [new.served_name]
    told = await two.provider().describe(endpoint)
    assert told is not None
    assert told.digests == (new.digest,)


async def test_a_version_that_is_still_asked_for_stays_however_long_ago_it_was_replaced(two: Ground) -> None:
    old, new = two.model("a"), two.model("b")
    await two.deploy(old)
    endpoint = await two.deploy(new)
    two.now += 10 * DRAIN_S
    assert ask(two.cluster.urls[1], old.served_name) == 200
    told = await two.provider().describe(endpoint)
    assert told is not None
    assert told.digests == (new.digest,)
    await two.deploy(new)
    assert old.served_name in two.cluster.names()[0]
    two.now += DRAIN_S + 1
    await two.deploy(new)
    assert two.cluster.names() == [[new.served_name]] * 2


async def test_where_the_server_cannot_tell_who_asks_the_time_alone_decides(two: Ground) -> None:
    old, new = two.model("a"), two.model("b")
    two.cluster.says_idle = False
    await two.deploy(old)
    await two.deploy(new)
    two.now += DRAIN_S - 1
    await two.deploy(new)
    assert old.served_name in two.cluster.names()[0]
    two.now += 1
    await two.deploy(new)
    assert two.cluster.names() == [[new.served_name]] * 2


async def test_without_a_drain_the_old_version_goes_at_once(two: Ground) -> None:
    two.options["drainSeconds"] = 0
    old, new = two.model("a"), two.model("b")
    await two.deploy(old)
    await two.deploy(new)
    assert (two.cluster.names(), two.files()) == ([[new.served_name]] * 2, [new.served_name])


async def test_going_back_takes_the_version_that_is_still_loaded(two: Ground) -> None:
    old, new = two.model("a"), two.model("b")
    await two.deploy(old)
    await two.deploy(new)
    two.cluster.requests.clear()
    await two.deploy(old)
    assert [path for _, _, path in two.cluster.requests if "load" in path] == []
    two.now += DRAIN_S + 1
    await two.deploy(old)
    assert two.cluster.names() == [[old.served_name]] * 2


@pytest.mark.parametrize("jump_s", [-86_400, 86_400], ids=["back by a day", "ahead by a day"])
async def test_a_clock_that_jumps_unloads_nothing_that_is_in_use(two: Ground, jump_s: int) -> None:
    old, new = two.model("a"), two.model("b")
    await two.deploy(old)
    await two.deploy(new)
    two.now += jump_s
    assert ask(two.cluster.url, old.served_name) == 200
    assert ask(two.cluster.urls[0], old.served_name) == 200
    await two.deploy(new)
    assert old.served_name in two.cluster.names()[0]
    two.now += DRAIN_S + 1
    await two.deploy(new)
    assert two.cluster.names() == [[new.served_name]] * 2


async def test_another_machine_knows_since_when_a_version_is_unwanted_where_the_folder_is_shared(two: Ground) -> None:
    two.options["sharedPath"] = str(two.folder / "mnt")
    old, new = two.model("a"), two.model("b")
    await two.deploy(old)
    await two.deploy(new)
    two.now += DRAIN_S + 1
    await two.deploy(new, home="elsewhere")
    assert two.cluster.names() == [[new.served_name]] * 2


async def test_a_new_version_that_does_not_answer_is_taken_back_and_the_old_one_goes_on(two: Ground) -> None:
    old, new = two.model("a"), two.model("b")
    endpoint = await two.deploy(old)
    two.cluster.mute.add(new.served_name)
    with pytest.raises(VendorError, match="was loaded and does not answer"):
        await two.deploy(new)
    assert (two.cluster.names(), two.files()) == ([[old.served_name]] * 2, [old.served_name])
    told = await two.provider().describe(endpoint)
    assert told is not None
    assert (told.healthy, told.digests) == (True, (old.digest,))


async def test_a_new_version_that_one_replica_refuses_is_taken_back_from_the_other(two: Ground) -> None:
    old, new = two.model("a"), two.model("b")
    await two.deploy(old)
    two.cluster.failures["POST", "/load_lora_adapter"] = [Failure(500)]
    with pytest.raises(TakeoverError):
        await two.deploy(new)
    assert (two.cluster.names(), two.files()) == ([[old.served_name]] * 2, [old.served_name])
    await two.deploy(new)
    assert new.served_name in two.cluster.names()[0]


async def test_a_first_deploy_that_fails_leaves_nothing(two: Ground) -> None:
    two.cluster.failing_loads = "there is no memory for it"
    with pytest.raises(VendorError, match="there is no memory for it"):
        await two.deploy(two.model("a"))
    assert (two.cluster.names(), two.files()) == ([[], []], [])
    assert await two.provider().find(two.endpoint().name) is None


async def test_a_server_that_does_not_let_the_old_version_go_is_no_failure_and_the_next_deploy_tries_again(
    two: Ground,
) -> None:
    two.options["drainSeconds"] = 0
    old, new = two.model("a"), two.model("b")
    await two.deploy(old)
    two.cluster.failures["POST", "/unload_lora_adapter"] = [Failure(500), Failure(500)]
    await two.deploy(new)
    assert old.served_name in two.cluster.names()[0]
    assert "the next deploy tries again" in two.said[-2]
    await two.deploy(new)
    assert two.cluster.names() == [[new.served_name]] * 2


async def test_adding_an_adapter_touches_no_other_and_restarts_nothing(two: Ground) -> None:
    first, second = two.model("a"), two.model("b", name="other")
    await two.deploy(first)
    two.cluster.requests.clear()
    endpoint = await two.deploy(first, second)
    assert endpoint.models == (first.served_name, second.served_name)
    assert len([path for _, _, path in two.cluster.requests if path.endswith("/load_lora_adapter")]) == 2
    assert two.cluster.names() == [sorted([first.served_name, second.served_name])] * 2


async def test_a_damaged_copy_in_the_shared_folder_is_made_whole(two: Ground) -> None:
    model = two.model("a")
    await two.deploy(model)
    weights = two.shared / model.served_name / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    two.cluster.replicas[0].restart()
    await two.deploy(model)
    assert weights.read_bytes() == whole
