"""`takeover:local.engine: vllm`, with a stand-in that has vLLM's flags, environment and routes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from takeover.errors import Refused
from takeover.providers import _local_own
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.providers._process import find_marked
from takeover.providers.local import LocalProvider

FAKES = Path(__file__).parents[1]
NAME = "demo-dev-1"
SPEC = EndpointSpec(name=NAME, base="tiny", options={"engine": "vllm", "drainSeconds": 0})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    paths = f"{FAKES}:{FAKES / 'fakes' / 'vllm_stub'}"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{paths}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("LOCAL_ENGINE_PYTHON", str(python))
    monkeypatch.setattr(_local_own, "_materialised", lambda _base: tmp_path / "base")
    home = tmp_path / "home"
    yield home
    for process in find_marked(home / "endpoints" / NAME):
        process.kill()


def model(folder: Path, mark: str, rank: int = 8) -> TrainedModel:
    path = folder / mark
    path.mkdir(exist_ok=True)
    digest = "sha256:" + mark * 64
    (path / "manifest.json").write_text(json.dumps({"digest": digest}))
    name = f"tone@{mark * 12}"
    return TrainedModel(name="tone", digest=digest, served_name=name, path=str(path), base="tiny", rank=rank)


async def test_it_is_started_changed_at_run_time_and_destroyed(home: Path, tmp_path: Path) -> None:
    provider = LocalProvider(home=home)
    first = await provider.deploy((model(tmp_path, "a"),), SPEC)
    [process] = find_marked(home / "endpoints" / NAME)
    second = await provider.deploy((model(tmp_path, "b"),), SPEC)
    assert find_marked(home / "endpoints" / NAME) == [process]
    told = await provider.describe(second)
    assert told is not None
    assert (told.healthy, told.digests) == (True, ("sha256:" + "b" * 64,))
    assert (first.url, first.replicas_ready) == (second.url, 1)
    assert second.cold_start_measured_ms is not None
    assert await provider.inference(second, "hello")
    await provider.destroy(second)
    assert find_marked(home / "endpoints" / NAME) == []


async def test_a_rank_that_needs_more_room_starts_another_server(home: Path, tmp_path: Path) -> None:
    provider = LocalProvider(home=home)
    await provider.deploy((model(tmp_path, "a"),), SPEC)
    [before] = find_marked(home / "endpoints" / NAME)
    await provider.deploy((model(tmp_path, "b", rank=24),), SPEC)
    [after] = find_marked(home / "endpoints" / NAME)
    assert after != before
    assert "--max-lora-rank 32" in " ".join(after.cmdline())


async def test_its_key_is_in_no_command_line(home: Path, tmp_path: Path) -> None:
    endpoint = await LocalProvider(home=home).deploy((model(tmp_path, "a"),), SPEC)
    [process] = find_marked(home / "endpoints" / NAME)
    assert endpoint.api_key is not None
    assert endpoint.api_key.get_secret_value() not in " ".join(process.cmdline())


async def test_a_python_that_is_not_there_is_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_ENGINE_PYTHON", "/nowhere/python")
    with pytest.raises(Refused, match="/nowhere/python cannot be started"):
        await LocalProvider(home=home).deploy((model(tmp_path, "a"),), SPEC)
    assert not (home / "endpoints" / NAME).exists()
