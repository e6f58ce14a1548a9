"""The same tier on serving/local, whose surface is vLLM's: two of them, in this process, behind a balancer."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.artifacts import make_adapter
from fakes.turns import taking_turns
from vllm_ground import NAME

from takeover.errors import Refused
from takeover.providers._base import EndpointSpec
from takeover.providers.dedicated_vllm import VLLMProvider

pytestmark = pytest.mark.slow

LIVE = runpy.run_path(str(Path(__file__).parents[1] / "serving" / "live.py"))


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Any]]:
    with LIVE["live_server"]() as first, LIVE["live_server"]() as second:
        yield [first, second]


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, servers: list[Any]) -> Iterator[VLLMProvider]:
    monkeypatch.setenv("VLLM_API_KEY", LIVE["KEY"])
    with taking_turns([server.url for server in servers]) as url:
        monkeypatch.setenv("VLLM_CLUSTER_URL", url)
        yield VLLMProvider(home=tmp_path / "home")


def listed(server: Any) -> list[str]:
    with server.http() as http:
        return [entry["id"] for entry in http.get("/v1/models").json()["data"][1:]]


def spec_of(servers: list[Any], **options: Any) -> EndpointSpec:
    given = {"replicaUrls": [server.url for server in servers], "drainSeconds": 0, **options}
    return EndpointSpec(name=NAME, base="tiny", max_replicas=2, options=given)


async def test_a_version_is_loaded_changed_lost_mended_and_removed(
    provider: VLLMProvider, servers: list[Any], tmp_path: Path
) -> None:
    old = make_adapter(tmp_path / "a", name="tone", seed=1).trained_model()
    new = make_adapter(tmp_path / "b", name="tone", seed=2).trained_model()
    await provider.deploy((old,), spec_of(servers))
    endpoint = await provider.deploy((new,), spec_of(servers))
    assert [listed(server) for server in servers] == [[new.served_name]] * 2
    assert await provider.inference(endpoint, "Where is my parcel?", max_tokens=4) is not None
    told = await provider.describe(endpoint)
    assert told is not None
    assert (told.healthy, told.digests, told.base) == (True, (new.digest,), "tiny")
    assert (await provider.get_metrics(endpoint)).replicas == 2
    with servers[1].http() as http:
        http.post("/v1/unload_lora_adapter", json={"lora_name": new.served_name}).raise_for_status()
    told = await provider.describe(endpoint)
    assert told is not None
    assert (told.healthy, told.reason) == (False, f"{servers[1].url} has lost {new.served_name}")
    await provider.deploy((new,), spec_of(servers))
    await provider.destroy(endpoint)
    assert [listed(server) for server in servers] == [[], []]


async def test_several_behind_one_address_are_noticed_and_served_in_turn(
    provider: VLLMProvider, servers: list[Any], tmp_path: Path
) -> None:
    model = make_adapter(tmp_path / "a", name="tone", seed=1).trained_model()
    with pytest.raises(Refused, match="several servers behind one address"):
        await provider.deploy((model,), spec_of(servers, replicaUrls=[]))
    assert [listed(server) for server in servers] == [[], []]
    endpoint = await provider.deploy((model,), spec_of(servers, replicaUrls=[], resolve="balancer"))
    assert [listed(server) for server in servers] == [[model.served_name]] * 2
    await provider.destroy(endpoint)
    assert [listed(server) for server in servers] == [[], []]
