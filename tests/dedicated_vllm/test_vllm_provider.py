"""The tier dedicated-vllm: adapters come and go on every replica, and nobody else's are touched."""

from __future__ import annotations

import pytest
from vllm_ground import NAME, Ground

from plugin.inputs import inputs_of
from plugin.operations import Operations
from takeover.errors import Refused, TakeoverError


def theirs(ground: Ground, name: str, root: str) -> None:
    """Somebody else loads an adapter, on every replica."""
    for replica in ground.cluster.replicas:
        replica.adapters[name] = root


async def test_an_adapter_is_copied_verified_loaded_on_every_replica_and_asked_a_question(two: Ground) -> None:
    model = two.model("a")
    endpoint = await two.deploy(model)
    path = str(two.shared / model.served_name)
    assert two.cluster.loaded() == [{model.served_name: path}] * 2
    assert two.files() == [model.served_name]
    assert (endpoint.url, endpoint.models, endpoint.replicas_ready) == (
        f"{two.cluster.url}/v1",
        (model.served_name,),
        2,
    )
    assert [replica.answered for replica in two.cluster.replicas] == [1, 1]
    assert await two.provider().find(NAME) == endpoint
    told = await two.provider().describe(endpoint)
    assert told is not None
    assert (told.healthy, told.digests, told.models, told.replicas, told.base) == (
        True,
        (model.digest,),
        (model.served_name,),
        2,
        "tiny",
    )
    assert "heard hello" in await two.provider().inference(endpoint, "hello")


async def test_deploying_again_loads_nothing(two: Ground) -> None:
    model = two.model("a")
    first = await two.deploy(model)
    two.cluster.requests.clear()
    assert await two.deploy(model) == first
    assert {path for _, _, path in two.cluster.requests} == {"/v1/models", "/v1/completions"}


async def test_others_adapters_are_left_alone_through_everything(two: Ground) -> None:
    theirs(two, "theirs@1", "/srv/theirs")
    two.options["drainSeconds"] = 0
    endpoint = await two.deploy(two.model("a"))
    await two.deploy(two.model("b"))
    await two.provider().destroy(endpoint)
    assert two.cluster.loaded() == [{"theirs@1": "/srv/theirs"}] * 2


async def test_destroying_leaves_neither_an_adapter_nor_a_file(two: Ground) -> None:
    endpoint = await two.deploy(two.model("a"), two.model("b", name="other"))
    await two.provider().destroy(endpoint)
    assert two.cluster.names() == [[], []]
    assert [path.name for path in two.home.rglob("*") if path.is_file()] == ["servers.lock"]
    assert await two.provider().find(NAME) is None
    await two.provider().destroy(endpoint)


async def test_a_replica_that_lost_the_adapter_in_a_restart_is_told_and_the_next_deploy_mends_it(two: Ground) -> None:
    model = two.model("a")
    endpoint = await two.deploy(model)
    two.cluster.replicas[1].restart()
    told = await two.provider().describe(endpoint)
    assert told is not None
    assert (told.healthy, told.digests, told.reason) == (
        False,
        (),
        f"{two.cluster.urls[1]} has lost {model.served_name}",
    )
    found = await two.provider().find(NAME)
    assert found is not None
    assert found.replicas_ready == 1
    await two.deploy(model)
    assert two.cluster.names() == [[model.served_name]] * 2


async def test_a_replica_that_is_down_is_told_and_a_deploy_changes_nothing(two: Ground) -> None:
    old, new = two.model("a"), two.model("b")
    endpoint = await two.deploy(old)
    two.cluster.replicas[1].is_up = False
    told = await two.provider().describe(endpoint)
    assert told is not None
    assert (told.healthy, two.cluster.urls[1] in told.reason) == (False, True)
    with pytest.raises(TakeoverError, match=two.cluster.urls[1]):
        await two.deploy(new)
    assert two.cluster.names() == [[old.served_name]] * 2


async def test_a_served_name_that_somebody_else_loaded_from_elsewhere_is_refused_and_nothing_is_made(
    two: Ground,
) -> None:
    model = two.model("a")
    two.cluster.replicas[1].adapters[model.served_name] = "/srv/theirs"
    with pytest.raises(Refused) as caught:
        await two.deploy(model)
    assert f"{model.served_name} is taken at {two.cluster.urls[1]}" in str(caught.value)
    assert "from /srv/theirs" in str(caught.value)
    assert two.cluster.loaded() == [{}, {model.served_name: "/srv/theirs"}]
    assert (two.files(), await two.provider().find(NAME)) == ([], None)


OTHER = "demo-stg-ffffffff"


async def test_two_endpoints_share_an_adapter_on_one_server_and_the_first_to_leave_does_not_take_it_along(
    two: Ground,
) -> None:
    model = two.model("a")
    staging = await two.deploy(model, name=OTHER)
    two.cluster.requests.clear()
    production = await two.deploy(model)
    assert [path for _, _, path in two.cluster.requests if "load" in path] == []
    await two.provider().destroy(staging)
    assert (two.cluster.names(), two.files()) == ([[model.served_name]] * 2, [model.served_name])
    told = await two.provider().describe(production)
    assert told is not None
    assert told.healthy is True
    await two.provider().destroy(production)
    assert (two.cluster.names(), two.files()) == ([[], []], [])


async def test_a_version_that_one_endpoint_replaces_stays_for_the_other_that_serves_it(two: Ground) -> None:
    two.options["drainSeconds"] = 0
    old, new = two.model("a"), two.model("b")
    await two.deploy(old, name=OTHER)
    await two.deploy(old)
    await two.deploy(new)
    assert two.cluster.names() == [sorted([old.served_name, new.served_name])] * 2
    await two.deploy(new, name=OTHER)
    assert (two.cluster.names(), two.files()) == ([[new.served_name]] * 2, [new.served_name])


async def test_another_machine_finds_describes_and_removes_what_it_did_not_deploy_by_what_the_state_has(
    two: Ground,
) -> None:
    model = two.model("a")
    endpoint = await two.deploy(model)
    assert await two.provider("elsewhere").find(NAME) is None
    two.options["sharedPath"] = str(two.shared)
    knowing = two.provider("elsewhere").knowing((model,), two.spec())
    assert await knowing.find(NAME) == endpoint
    told = await knowing.describe(endpoint)
    assert told is not None
    assert (told.healthy, told.digests) == (True, (model.digest,))
    await knowing.destroy(two.endpoint())
    assert two.cluster.names() == [[], []]


async def test_an_endpoint_of_which_a_state_knows_and_nobody_else_is_gone(two: Ground) -> None:
    assert await two.provider().knowing((two.model("a"),), two.spec()).find(NAME) is None


async def test_servers_that_are_gone_took_their_adapters_along(ground: Ground) -> None:
    endpoint = await ground.deploy(ground.model("a"))
    ground.monkeypatch.setenv("VLLM_CLUSTER_URL", "http://127.0.0.1:1")
    told = await ground.provider().describe(endpoint)
    assert told is not None
    assert told.healthy is False
    await ground.provider().destroy(endpoint)
    ground.monkeypatch.setenv("VLLM_CLUSTER_URL", ground.cluster.url)
    assert ground.files() == []


async def test_figures_are_summed_over_the_replicas(two: Ground) -> None:
    endpoint = await two.deploy(two.model("a"))
    for replica in two.cluster.replicas:
        replica.answered += 3
    got = (await two.provider().get_metrics(endpoint)).model_dump()
    assert got == {
        "requests": 8,
        "errors": 0,
        "latency_p50_ms": 150.0,
        "latency_p95_ms": 195.0,
        "first_token_p50_ms": 50.0,
        "prompt_tokens": 40,
        "completion_tokens": 56,
        "queue": 2,
        "replicas": 2,
    }


async def test_figures_that_a_gateway_does_not_let_through_are_unknown_and_not_zero(two: Ground) -> None:
    endpoint = await two.deploy(two.model("a"))
    two.cluster.failures[("GET", "/metrics")] = []
    two.cluster.has_metrics = False
    got = (await two.provider().get_metrics(endpoint)).model_dump(exclude_none=True)
    two.cluster.violations.clear()
    assert got == {"replicas": 2}


async def test_scaling_is_the_business_of_whoever_runs_the_servers(two: Ground) -> None:
    endpoint = await two.deploy(two.model("a"))
    await two.provider().scale(endpoint, 2)
    with pytest.raises(Refused, match="has 2 replicas, and takeover cannot make it 3"):
        await two.provider().scale(endpoint, 3)
    with pytest.raises(Refused, match="neither starts nor stops servers"):
        await two.provider().scale(endpoint, 0)


async def test_an_import_takes_what_the_servers_and_the_records_tell(two: Ground) -> None:
    model = two.model("a")
    endpoint = await two.deploy(model)
    found = await Operations(lambda _name: two.provider()).read(f"dedicated-vllm/{NAME}", {})
    assert found.id == f"dedicated-vllm/{NAME}"
    assert found.inputs == inputs_of("dedicated-vllm", (model,), two.spec())
    assert (found.outputs["url"], found.outputs["digests"], found.outputs["healthy"]) == (
        endpoint.url,
        [model.digest],
        True,
    )
