"""The local tier on a server that somebody else runs: the stand-in, started by the test itself."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from takeover.errors import AuthError, NotReady
from takeover.providers._base import Endpoint, EndpointSpec, TrainedModel
from takeover.providers.local import LocalProvider

FAKE = Path(__file__).parents[1] / "fakes" / "local_server.py"
NAME = "demo-dev-1"
KEY = "the-other-server-s-key"


@dataclass(frozen=True)
class Other:
    """A server of somebody else, with an adapter of theirs."""

    root: str
    process: subprocess.Popen[bytes]
    folder: Path
    provider: LocalProvider

    def model(self, mark: str, name: str = "tone") -> TrainedModel:
        path = self.folder / f"{name}-{mark}"
        path.mkdir(exist_ok=True)
        digest = "sha256:" + mark * 64
        (path / "manifest.json").write_text(json.dumps({"digest": digest}))
        return TrainedModel(
            name=name, digest=digest, served_name=f"{name}@{mark * 12}", path=str(path), base="tiny", rank=8
        )

    async def deploy(self, *marks: str) -> Endpoint:
        spec = EndpointSpec(name=NAME, base="tiny", options={"engine": f"{self.root}/v1"})
        return await self.provider.deploy(tuple(self.model(mark) for mark in marks), spec)

    def ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        return httpx.request(
            method, f"{self.root}{path}", json=body, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False
        )

    def served(self) -> list[str]:
        return [entry["id"] for entry in self.ask("GET", "/v1/models").json()["data"]]


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Other]:
    monkeypatch.setenv("LOCAL_ENGINE_API_KEY", KEY)
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "key").write_text(KEY)
    process = subprocess.Popen([sys.executable, str(FAKE), "--state-dir", str(folder), "--base", "tiny"])
    try:
        yield Other(root_of(folder), process, tmp_path, LocalProvider(home=tmp_path / "home"))
    finally:
        process.kill()
        process.wait()


def root_of(folder: Path) -> str:
    """Where it listens, once it is ready."""
    give_up_at = time.monotonic() + 20
    while time.monotonic() < give_up_at:
        file = folder / "server.json"
        told = json.loads(file.read_text()) if file.exists() else {}
        if told.get("state") == "ready":
            return str(told["url"])
        time.sleep(0.02)
    raise TimeoutError("the stand-in did not start")


async def test_adapters_come_and_go_there_and_the_server_stays(other: Other) -> None:
    theirs = other.model("f", name="theirs")
    other.ask("POST", "/v1/load_lora_adapter", {"lora_name": theirs.served_name, "lora_path": theirs.path})
    endpoint = await other.deploy("a")
    assert other.served() == ["tiny", theirs.served_name, "tone@" + "a" * 12]
    await other.deploy("b")
    assert other.served() == ["tiny", theirs.served_name, "tone@" + "b" * 12]
    assert await other.provider.inference(endpoint, "hello", model="tone@" + "b" * 12)
    await other.provider.destroy(endpoint)
    assert other.served() == ["tiny", theirs.served_name]
    assert other.process.poll() is None


async def test_it_is_described_by_what_it_serves_and_its_key_is_the_variable_s(other: Other) -> None:
    endpoint = await other.deploy("a")
    told = await other.provider.describe(endpoint)
    assert told is not None
    assert (told.healthy, told.digests) == (True, ("sha256:" + "a" * 64,))
    assert endpoint.api_key is not None
    assert endpoint.api_key.get_secret_value() == KEY
    assert endpoint.url == f"{other.root}/v1"


async def test_a_server_that_went_away_is_told_and_destroying_is_silent(other: Other) -> None:
    endpoint = await other.deploy("a")
    other.process.kill()
    other.process.wait()
    told = await other.provider.describe(endpoint)
    assert told is not None
    assert (told.healthy, told.reason) == (False, f"nothing answers at {other.root}")
    await other.provider.destroy(endpoint)
    assert await other.provider.find(NAME) is None


async def test_no_server_there_is_not_ready(other: Other) -> None:
    other.process.kill()
    other.process.wait()
    with pytest.raises(NotReady, match="nothing answers at"):
        await other.deploy("a")


async def test_a_wrong_key_names_the_variable(other: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_ENGINE_API_KEY", "wrong")
    with pytest.raises(AuthError, match="Set LOCAL_ENGINE_API_KEY to its key"):
        await other.deploy("a")


async def test_a_change_of_engine_takes_our_adapters_along(other: Other) -> None:
    await other.deploy("a")
    own = LocalProvider(home=other.folder / "home", command=[sys.executable, str(FAKE)])
    endpoint = await own.deploy((other.model("a"),), EndpointSpec(name=NAME, base="tiny"))
    assert other.served() == ["tiny"]
    assert not endpoint.url.startswith(other.root)
    await own.destroy(endpoint)
