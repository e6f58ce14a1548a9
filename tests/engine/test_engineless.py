"""`takeover deploy` and `takeover destroy --outputs`: one file stands for one endpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from takeover.cli import app
from takeover.engine import engineless, interrupted
from takeover.engine.interrupted import remove
from takeover.engine.state import Pending
from takeover.errors import Refused
from takeover.providers import _progress
from takeover.providers._base import Endpoint, EndpointSpec, TrainedModel

KEY = "key-of-the-test"
DIGEST = "sha256:3fa9c1d20b77" + "0" * 52


@dataclass
class Memory:
    """A provider whose endpoints are a dictionary."""

    endpoints: dict[str, tuple[tuple[TrainedModel, ...], EndpointSpec]] = field(default_factory=dict)

    async def deploy(self, models: tuple[TrainedModel, ...], spec: EndpointSpec) -> Endpoint:
        _progress.progress("start", "starting the server")
        _progress.progress("start", "starting the server")
        self.endpoints[spec.name] = (models, spec)
        return self._endpoint(spec.name)

    def _endpoint(self, name: str) -> Endpoint:
        models = tuple(model.served_name for model in self.endpoints[name][0])
        url = "http://127.0.0.1:9/v1"
        return Endpoint(id=name, name=name, provider="local", url=url, models=models, api_key=SecretStr(KEY))

    async def find(self, name: str) -> Endpoint | None:
        return self._endpoint(name) if name in self.endpoints else None

    async def destroy(self, endpoint: Endpoint) -> None:
        self.endpoints.pop(endpoint.name, None)


@dataclass(frozen=True)
class Artifact:
    path: Path
    manifest: object = None  # the local tier has no GPU that it would have to fit on

    def trained_model(self) -> TrainedModel:
        return TrainedModel(
            name="tone", digest=DIGEST, served_name="tone@3fa9c1d20b77", path=str(self.path), base="tiny", rank=8
        )


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Memory:
    provider = Memory()
    for module in ("engineless", "interrupted"):
        monkeypatch.setattr(f"takeover.engine.{module}.provider_for", lambda *_: provider)
    monkeypatch.setattr(engineless, "open_adapter", Artifact)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tone").mkdir()
    return provider


def run(*arguments: str) -> tuple[str, str]:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout, result.stderr


DEPLOY = ("deploy", "--provider", "local", "--adapter", "tone", "--outputs", "build/endpoint.json")


def test_an_adapter_is_served_and_its_outputs_are_written(memory: Memory) -> None:
    stdout, stderr = run(*DEPLOY)
    assert stdout == ("url       http://127.0.0.1:9/v1\nmodel     tone@3fa9c1d20b77\noutputs   build/endpoint.json\n")
    assert stderr == (
        "Without an engine: no state, no preview, no refresh.\n"
        "  starting the server\n"
        'Ask it: takeover ask "..." --outputs build/endpoint.json\n'
    )
    written = Path("build/endpoint.json")
    assert json.loads(written.read_text())["apiKey"] == KEY
    assert written.stat().st_mode & 0o777 == 0o600


def test_json_hides_the_key(memory: Memory) -> None:
    stdout, stderr = run(*DEPLOY, "--json")
    assert json.loads(stdout)["apiKey"] == "[secret]"
    assert KEY not in stdout + stderr


def test_the_same_file_is_the_same_endpoint(memory: Memory) -> None:
    run(*DEPLOY)
    run(*DEPLOY)
    run(*DEPLOY[:-1], "build/other.json")
    assert len(memory.endpoints) == 2


def test_destroy_leaves_nothing_and_may_be_repeated(memory: Memory) -> None:
    run(*DEPLOY)
    assert run("destroy", "--outputs", "build/endpoint.json") == ("", "removed build/endpoint.json\n")
    assert (memory.endpoints, Path("build/endpoint.json").exists()) == ({}, False)
    assert run("destroy", "--outputs", "build/endpoint.json") == ("", "nothing was up for build/endpoint.json\n")


def test_destroy_removes_what_was_begun_before_the_file_was_written(memory: Memory) -> None:
    run(*DEPLOY)
    Path("build/endpoint.json").unlink()
    run("destroy", "--outputs", "build/endpoint.json")
    assert memory.endpoints == {}


def test_a_file_that_was_moved_does_not_orphan_its_endpoint(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engineless, "ask_health", lambda _url: (True, "answers"))
    run(*DEPLOY)
    moved = Path("build/endpoint.json").rename("moved.json")
    with pytest.raises(Refused, match=r"what answers at http://127.0.0.1:9/v1 was not put up under this path"):
        engineless.take_down(moved)
    assert moved.exists()


def test_an_unknown_provider_is_refused(memory: Memory) -> None:
    with pytest.raises(Refused, match="nimbus"):
        engineless.put_up("nimbus", [Path("tone")], Path("o.json"))
    assert memory.endpoints == {}


def test_what_a_killed_up_began_is_removed_by_its_provider(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupted, "_ORPHAN_S", 0.0)
    run(*DEPLOY)
    name = engineless.name_for(Path("build/endpoint.json"))
    inputs = {"provider": "local", "spec": {"name": name}}
    assert remove(Pending("takeover:index:Endpoint", "dev-ab12", inputs))
    assert memory.endpoints == {}
    assert not remove(Pending("takeover:index:Endpoint", "dev-ab12", inputs))
    assert not remove(Pending("aws:ec2:Instance", "vm", inputs))
