"""`takeover deploy` of an address, and `metrics`, `scale`, `status` of what it put up."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fakes.artifacts import make_adapter
from pydantic import SecretStr
from typer.testing import CliRunner

from takeover.cli import app
from takeover.engine import _desk, engineless, running
from takeover.engine import status as status_of_stack
from takeover.errors import NotReady, QuotaError, Refused
from takeover.providers._base import Described, Endpoint, EndpointSpec, InferenceMetrics, TrainedModel

KEY = "key-of-the-test"
FIGURES = InferenceMetrics(requests=1200, errors=0, latency_p50_ms=81.5, replicas=1)


@dataclass
class Cloud:
    """A provider whose endpoints are a dictionary; `knows` is what `knowing` told it."""

    endpoints: dict[str, EndpointSpec] = field(default_factory=dict)
    replicas: list[int] = field(default_factory=list)
    refuses: Exception | None = None
    reason: str = ""
    knows: EndpointSpec | None = None

    def knowing(self, models: tuple[TrainedModel, ...], spec: EndpointSpec) -> Cloud:
        return replace(self, knows=spec)

    async def deploy(self, models: tuple[TrainedModel, ...], spec: EndpointSpec) -> Endpoint:
        if self.refuses:
            raise self.refuses
        self.endpoints[spec.name] = spec
        return self._endpoint(spec.name)

    def _endpoint(self, name: str) -> Endpoint:
        url = "http://127.0.0.1:9/v1"
        return Endpoint(id=name, name=name, provider="local", url=url, models=("a@1",), api_key=SecretStr(KEY))

    async def find(self, name: str) -> Endpoint | None:
        return self._endpoint(name) if name in self.endpoints else None

    async def destroy(self, endpoint: Endpoint) -> None:
        self.endpoints.pop(endpoint.name, None)

    async def scale(self, endpoint: Endpoint, replicas: int) -> None:
        self.replicas.append(replicas)

    async def get_metrics(self, endpoint: Endpoint) -> InferenceMetrics:
        return FIGURES

    async def inference(self, endpoint: Endpoint, prompt: str, **options: Any) -> str:
        return "yes"

    async def describe(self, endpoint: Endpoint) -> Described:
        return Described(
            endpoint=endpoint,
            base="tiny",
            models=endpoint.models,
            digests=("sha256:1",),
            replicas=0,
            hardware=None,
            healthy=not self.reason,
            reason=self.reason,
        )


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cloud:
    provider = Cloud()
    for module in (engineless, running):
        monkeypatch.setattr(module, "provider_for", lambda _name, _cluster=None: provider)
    monkeypatch.setattr(engineless, "named_models", lambda _name, models, _options, cluster: models)
    monkeypatch.chdir(tmp_path)
    make_adapter(tmp_path / "tone", name="tone")
    return provider


def run(*arguments: str, code: int = 0) -> tuple[str, str]:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == code
    return result.stdout, result.stderr


OF_FILE = ("--outputs", "endpoint.json")
DEPLOY = ("deploy", "--provider", "dedicated-vllm", "--cluster", "existing", "--adapter", "tone", *OF_FILE)


def test_a_tier_gets_its_cluster_its_options_and_our_label(cloud: Cloud) -> None:
    run(*DEPLOY, "--option", "drainSeconds=10", "--option", "engine=sglang")
    (spec,) = cloud.endpoints.values()
    assert (spec.options["drainSeconds"], spec.options["engine"]) == (10, "sglang")
    assert spec.labels == {"managed-by": "takeover", "deployment": spec.name, "tier": "dedicated-vllm"}
    assert json.loads(Path("endpoint.json").read_text())["provider"] == "dedicated-vllm"


def test_an_address_is_resolved_once_pulled_and_verified(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAKEOVER_CACHE", str(Path("cache").resolve()))
    run("push", "tone", "file://" + str(Path("shelf").resolve()))
    address = f"file://{Path('shelf').resolve()}"
    _, said = run("deploy", "--adapter", address, *OF_FILE)
    digest = json.loads(Path("endpoint.json").read_text())["digest"]
    assert f"{address} is {digest} now" in said
    assert len(cloud.endpoints) == 1


@dataclass(frozen=True)
class Bad:
    id: str
    arguments: tuple[str, ...]
    said: str


BAD = (
    Bad("a tier that there is not", ("--provider", "nimbus", "--adapter", "tone"), "no tier 'nimbus'"),
    Bad("a cluster that is not built", (*DEPLOY[1:3], "--cluster", "vast", "--adapter", "tone"), "vast"),
    Bad("an option that is none", ("--adapter", "tone", "--option", "drainSeconds"), "no KEY=VALUE"),
    Bad("an option that the tier has not", ("--adapter", "tone", "--option", "colour=red"), "colour"),
    Bad("a branch of nobody's", ("--adapter", "ftp://a/b"), "no place for adapters"),
    Bad("a folder that is not there", ("--adapter", "nothing"), "nothing"),
)


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_bad_input_is_refused_and_nothing_is_made_or_noted(cloud: Cloud, case: Bad) -> None:
    with pytest.raises(Refused, match=case.said):
        run("deploy", *case.arguments, *OF_FILE)
    assert (cloud.endpoints, _desk.noted_all(), Path("endpoint.json").exists()) == ({}, [], False)


def test_what_was_begun_on_another_tier_is_not_forgotten(cloud: Cloud) -> None:
    cloud.refuses = QuotaError("no GPU is left")
    with pytest.raises(QuotaError):
        run(*DEPLOY)
    assert [entry.provider for entry in _desk.noted_all()] == ["dedicated-vllm"]
    cloud.refuses = None
    with pytest.raises(Refused, match="stands for an endpoint on dedicated-vllm"):
        run("deploy", "--adapter", "tone", *OF_FILE)
    run("destroy", *OF_FILE)
    assert _desk.noted_all() == []


def test_metrics_are_a_table_with_unknown_for_what_the_vendor_has_not(cloud: Cloud) -> None:
    run(*DEPLOY)
    said, _ = run("metrics", *OF_FILE)
    rows = dict([cell.strip() for cell in line.split("│")[1:3]] for line in said.splitlines() if line.startswith("│"))
    assert (rows["requests"], rows["errors"], rows["latency p50 ms"], rows["queue"]) == (
        "1,200",
        "0",
        "81.5",
        "unknown",
    )
    assert json.loads(run("metrics", *OF_FILE, "--json")[0]) == FIGURES.model_dump(by_alias=True)


def test_scaling_is_asked_of_the_provider(cloud: Cloud) -> None:
    run(*DEPLOY)
    _, said = run("scale", "2", *OF_FILE)
    assert cloud.replicas == [2]
    assert "asked for 2 of " in said
    with pytest.raises(Refused, match="-1 replicas cannot be"):
        run("scale", *OF_FILE, "--", "-1")
    assert cloud.replicas == [2]


def test_status_says_what_is_really_served_and_never_the_key(cloud: Cloud) -> None:
    run(*DEPLOY)
    said, _ = run("status", *OF_FILE)
    assert "  models    a@1\n  digests   sha256:1\n  replicas  0\n  hardware  unknown\n  health    answers\n" in said
    assert KEY not in said + run("status", *OF_FILE, "--json")[0]


def test_status_of_what_is_gone_or_silent_is_4(cloud: Cloud) -> None:
    run(*DEPLOY)
    cloud.reason = "it lost its adapter"
    assert "  health    it lost its adapter\n" in run("status", *OF_FILE, code=4)[0]
    cloud.endpoints.clear()
    assert "endpoint.json: not up." in run("status", *OF_FILE, code=4)[0]
    with pytest.raises(NotReady, match="has no endpoint any more"):
        run("metrics", *OF_FILE)


STATE = {
    "resources": [
        {"type": "pulumi:pulumi:Stack"},
        {"type": running.ENDPOINT_TYPE, "delete": True, "inputs": {"provider": "local", "spec": {"name": "old"}}},
        {
            "type": running.ENDPOINT_TYPE,
            "inputs": {"provider": "local", "models": [], "spec": {"name": "demo-dev-0a1b2c3d", "base": "tiny"}},
        },
    ]
}


def test_a_stack_s_endpoint_is_the_one_in_its_state_and_the_provider_is_told(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "read_state", lambda _project, _stack: STATE)
    found = running.of_stack("dev")
    assert (found.name, found.whose, found.fix) == ("demo-dev-0a1b2c3d", "the stack dev", "takeover up --stack dev")
    assert isinstance(found.provider, Cloud)
    assert found.provider.knows == EndpointSpec(name="demo-dev-0a1b2c3d", base="tiny")


def test_the_status_of_a_tier_that_sleeps_does_not_wake_it(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "read_state", lambda _project, _stack: STATE)
    cloud.endpoints["demo-dev-0a1b2c3d"] = EndpointSpec(name="demo-dev-0a1b2c3d", base="tiny")
    assert status_of_stack._health("dev", {"provider": "modal", "url": "none"}) == (True, "asleep, none runs")
    cloud.endpoints.clear()
    assert status_of_stack._health("dev", {"provider": "modal", "url": "none"}) == (False, "is gone")


@pytest.mark.parametrize("command", ["metrics", "scale", "status"])
def test_a_stack_and_a_file_at_once_are_refused(command: str) -> None:
    number = ["1"] * (command == "scale")
    with pytest.raises(Refused, match=r"both given|one thing to look at"):
        run(command, *number, "--stack", "dev", *OF_FILE)


@dataclass
class Choosy(Cloud):
    """A provider that must be told where its endpoint is: a cluster's context, a region."""

    told: list[EndpointSpec] = field(default_factory=list)

    def knowing(self, _models: tuple[TrainedModel, ...], spec: EndpointSpec) -> Choosy:
        self.told.append(spec)
        return self


def test_what_was_asked_for_is_known_again_when_it_is_looked_at_and_taken_down(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    choosy = Choosy(endpoints=cloud.endpoints)
    for module in (engineless, running):
        monkeypatch.setattr(module, "provider_for", lambda _name, _cluster=None: choosy)
    run(*DEPLOY, "--option", "drainSeconds=10")
    run("metrics", *OF_FILE)
    run("destroy", *OF_FILE)
    assert [spec.options["drainSeconds"] for spec in choosy.told] == [10, 10]
    assert choosy.endpoints == {}
