"""The local tier with its real server and the base `tiny`: one life, to know that the stand-in tells the truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.artifacts import make_adapter

from takeover.adapter import Adapter
from takeover.errors import Refused
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.providers._process import find_marked
from takeover.providers.local import LocalProvider

pytestmark = pytest.mark.slow
NAME = "demo-dev-1"
SPEC = EndpointSpec(name=NAME, base="tiny", options={"drainSeconds": 0})


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    for process in find_marked(tmp_path / "home" / "endpoints" / NAME):
        process.kill()


async def test_it_is_deployed_asked_changed_and_destroyed(home: Path, tmp_path: Path) -> None:
    first, second = make_adapter(tmp_path / "a"), make_adapter(tmp_path / "b", seed=1)
    provider = LocalProvider(home=home)
    endpoint = await provider.deploy((first.trained_model(),), SPEC)
    assert endpoint.cold_start_measured_ms is not None
    assert await served_by(provider) == (first.digest,)
    again = await provider.deploy((second.trained_model(),), SPEC)
    assert again.url == endpoint.url
    assert await served_by(provider) == (second.digest,)
    assert isinstance(await provider.inference(again, "Hello?", max_tokens=4), str)
    assert (await provider.get_metrics(again)).requests is not None
    with pytest.raises(Refused, match="is no folder"):
        await provider.deploy((first.trained_model(), moved(second, tmp_path / "nowhere")), SPEC)
    assert await served_by(provider) == (second.digest,)
    await provider.destroy(again)
    assert find_marked(home / "endpoints" / NAME) == []
    assert await provider.find(NAME) is None


async def served_by(provider: LocalProvider) -> tuple[str, ...]:
    endpoint = await provider.find(NAME)
    assert endpoint is not None
    told = await provider.describe(endpoint)
    assert told is not None
    assert told.healthy
    return told.digests


def moved(adapter: Adapter, path: Path) -> TrainedModel:
    changes = {"path": str(path), "served_name": "other@000000000000", "digest": "sha256:" + "0" * 64}
    return adapter.trained_model().model_copy(update=changes)
