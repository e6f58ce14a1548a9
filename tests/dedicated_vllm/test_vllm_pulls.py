"""`adapterFiles: server-pulls`: the server is told where to pull from, and that place is looked at first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.hub import WRITER, FakeHub
from huggingface_hub import constants
from huggingface_hub.utils import close_session
from vllm_ground import Ground

from takeover.adapter import open_adapter
from takeover.errors import Refused
from takeover.providers._base import TrainedModel
from takeover.registry import parse_address, push


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    values = {"HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True, "HF_HUB_CACHE": str(tmp_path / "hf")}
    for name, value in values.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setenv("TAKEOVER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", WRITER)
    close_session()
    with FakeHub() as made:
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        yield made
        close_session()
    assert made.complaints == []


@pytest.fixture
def pulling(two: Ground) -> Ground:
    two.options |= {"adapterFiles": "server-pulls", "pullFrom": "acme/{name}-{digest12}", "drainSeconds": 0}
    return two


def repository(model: TrainedModel) -> str:
    return f"acme/{model.name}-{model.digest[7:19]}"


def publish(model: TrainedModel, name: str) -> None:
    push(open_adapter(model.path).path, parse_address(f"hf://{name}"))


async def test_each_version_is_pulled_from_a_repository_of_its_own(pulling: Ground, hub: FakeHub) -> None:
    old, new = pulling.model("a"), pulling.model("b")
    for model in (old, new):
        publish(model, repository(model))
    await pulling.deploy(old)
    endpoint = await pulling.deploy(new)
    assert pulling.cluster.loaded() == [{new.served_name: repository(new)}] * 2
    told = await pulling.provider().describe(endpoint)
    assert told is not None
    assert (told.healthy, told.digests) == (True, (new.digest,))
    assert pulling.files() == []
    await pulling.provider().destroy(endpoint)
    assert pulling.cluster.names() == [[], []]


async def test_a_repository_that_holds_something_else_is_refused_before_any_server_is_told(
    pulling: Ground, hub: FakeHub
) -> None:
    old, new = pulling.model("a"), pulling.model("b")
    publish(old, repository(new))
    with pytest.raises(Refused, match="was asked for"):
        await pulling.deploy(new)
    assert [path for _, _, path in pulling.cluster.requests if "load" in path] == []


async def test_no_repository_is_refused_before_any_server_is_told(pulling: Ground, hub: FakeHub) -> None:
    with pytest.raises(Refused, match="acme/tone"):
        await pulling.deploy(pulling.model("a"))
    assert pulling.cluster.names() == [[], []]


async def test_a_path_of_the_server_s_own_is_told_as_it_is(two: Ground) -> None:
    model = two.model("a")
    place = f"/srv/{model.digest.removeprefix('sha256:')}"
    two.options |= {"adapterFiles": "server-pulls", "pullFrom": "/srv/{digest}"}
    two.cluster.reads_paths = False
    endpoint = await two.deploy(model)
    assert two.cluster.loaded() == [{model.served_name: place}] * 2
    assert f"{place} is a path of the servers': what lies there cannot be verified from here" in two.said
    await two.provider().destroy(endpoint)
    assert two.cluster.names() == [[], []]
