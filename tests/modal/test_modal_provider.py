"""ModalProvider where it differs from other tiers: asleep, scaled by hand, kept adapters, strangers, slow starts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.artifacts import make_adapter
from fakes.canned import canned
from fakes.modal_server import FakeModal
from fakes.modal_state import App
from modal.types import FunctionStats, StatsPercentile, StatsPercentileDistribution
from modal_proto import api_pb2 as api
from pydantic import SecretStr

from takeover.errors import AuthError, ColdStart, NotReady, Refused
from takeover.providers._base import Described, Endpoint, EndpointSpec, InferenceMetrics
from takeover.providers._modal_door import Door
from takeover.providers._modal_figures import build_metrics_of
from takeover.providers._openai import Server
from takeover.providers.modal import ModalProvider

NAME = "takeover-dev-0a1b2c3d"
PROVIDER = ModalProvider()


def spec(**changes: Any) -> EndpointSpec:
    return EndpointSpec.model_validate({"name": NAME, "base": "tiny", "minReplicas": 0, "maxReplicas": 2, **changes})


def adapter(folder: Path, seed: int) -> Any:
    return make_adapter(folder / f"tone-{seed}", seed=seed, name="tone").trained_model()


def looked(told: Described | None) -> tuple[Any, ...]:
    assert told is not None
    return told.healthy, told.replicas, told.digests


@dataclass(frozen=True)
class Deployed:
    """One endpoint for several tests, each of which leaves it as it was."""

    modal: FakeModal
    endpoint: Endpoint
    models: tuple[Any, Any]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("deployed")
    models = (adapter(folder, 1), adapter(folder, 2))
    with FakeModal() as fake, pytest.MonkeyPatch.context() as patched:
        for variable, value in {**fake.environment, "TAKEOVER_HOME": str(folder), "MODAL_CONFIG_PATH": "/none"}.items():
            patched.setenv(variable, value)
        yield Deployed(fake, asyncio.run(PROVIDER.deploy((models[0],), spec())), models)
        assert fake.violations == []


@pytest.fixture
def found(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    """The same, where the client looks for it in this test."""
    for variable, value in {**deployed.modal.environment, "MODAL_CONFIG_PATH": "/none"}.items():
        monkeypatch.setenv(variable, value)
    return deployed


async def test_an_endpoint_that_sleeps_tells_what_it_will_serve_and_is_not_woken_by_looking(found: Deployed) -> None:
    assert found.endpoint.cold_start_measured_ms is not None
    found.modal.web.containers.clear()
    told = await PROVIDER.describe(found.endpoint)
    assert looked(told) == (True, 0, (found.models[0].digest,))
    again = await PROVIDER.find(NAME)
    assert again is not None
    assert (again.replicas_ready, again.cold_start_measured_ms, again.api_key) == (0, None, found.endpoint.api_key)
    figures = await PROVIDER.get_metrics(found.endpoint)
    assert (figures.replicas, figures.prompt_tokens, figures.errors) == (0, None, 0)
    assert found.modal.web.containers == {}


async def test_scaling_is_by_the_autoscaler_and_the_next_deploy_undoes_it(found: Deployed) -> None:
    found.modal.calls.clear()
    await PROVIDER.scale(found.endpoint, 1)
    assert found.modal.calls[-1] == "FunctionUpdateSchedulingParams"
    told = await PROVIDER.describe(found.endpoint)
    assert told is not None
    said = "it was scaled to at least 1 and at most 2 containers; it was deployed with 0 to 2"
    assert (told.healthy, told.reason) == (False, said)
    await PROVIDER.scale(found.endpoint, 5)
    told = await PROVIDER.describe(found.endpoint)
    assert told is not None
    assert "at least 5 and at most 5" in told.reason
    await PROVIDER.deploy((found.models[0],), spec())
    assert "AppPublish" not in found.modal.calls
    assert looked(await PROVIDER.describe(found.endpoint))[0]


async def test_who_asks_for_yesterday_s_adapter_is_still_answered_and_a_lost_key_makes_a_new_version(
    found: Deployed,
) -> None:
    before = await PROVIDER.deploy((found.models[0],), spec())
    volume = found.modal.state.volume(NAME)
    assert volume is not None
    del volume.files["key"]
    told = await PROVIDER.describe(before)
    assert told is not None
    assert (told.healthy, told.reason) == (False, f"the volume {NAME} lost the endpoint's key")
    after = await PROVIDER.deploy((found.models[1],), spec())
    names = (after.models[0], before.models[0])
    assert [await PROVIDER.inference(after, "hello", model=name) for name in names] == [
        f"{name} says: hello" for name in names
    ]
    assert looked(await PROVIDER.describe(after)) == (True, 1, (found.models[1].digest,))
    assert (after.url, after.api_key == before.api_key) == (before.url, False)
    with pytest.raises(AuthError):
        await PROVIDER.inference(before, "hello")


async def test_somebody_else_s_app_of_that_name_is_left_alone(modal: FakeModal) -> None:
    modal.state.apps["ap-1"] = App("ap-1", NAME, {"team": "search"}, state=api.APP_STATE_DEPLOYED)
    stranger = Endpoint(id=NAME, name=NAME, provider="modal", url="", models=())
    for asked in (PROVIDER.find(NAME), PROVIDER.describe(stranger), PROVIDER.destroy(stranger)):
        with pytest.raises(Refused, match="that takeover did not make"):
            await asked
    assert modal.state.apps["ap-1"].is_running


async def test_scaling_what_is_not_there_is_refused(modal: FakeModal) -> None:
    nothing = Endpoint(id=NAME, name=NAME, provider="modal", url="", models=())
    with pytest.raises(Refused, match=f"there is no {NAME} on Modal"):
        await PROVIDER.scale(nothing, 1)


async def test_a_question_that_modal_still_holds_is_a_cold_start() -> None:
    with canned(303, "", {"Location": "https://elsewhere.example/result"}) as root:
        endpoint = Endpoint(
            id=NAME, name=NAME, provider="modal", url=f"{root}/v1", models=("a@1",), api_key=SecretStr("key")
        )
        with pytest.raises(ColdStart) as caught:
            await PROVIDER.inference(endpoint, "hello")
    assert (caught.value.retry_after_s, "is still starting" in str(caught.value)) == (5, True)


@dataclass(frozen=True)
class Waiting:
    """What an address answers for ever, and what waiting for it ends with."""

    id: str
    status: int
    body: str
    error: type[Exception]
    said: str


WAITINGS = [
    Waiting("a container that does not come", 503, "", NotReady, "was not ready within 0 s"),
    Waiting("a result that is not there yet", 303, "", NotReady, "was not ready within 0 s"),
    Waiting("an older version that answers for ever", 200, '{"data": []}', NotReady, "was not ready within 0 s"),
    Waiting("a container that died", 500, "", Exception, "ended while it started"),
]


@pytest.mark.parametrize("case", WAITINGS, ids=lambda case: case.id)
async def test_waiting_for_the_first_container_ends_with_what_it_said_last(case: Waiting) -> None:
    with canned(case.status, case.body) as root:
        door = Door(Server(root, SecretStr("key"), called="demo"), lambda: "there is no memory for the base")
        with pytest.raises(case.error) as caught:
            await door.wait_serving(["tone@1"], 0, lambda _: None)
    assert (case.said in str(caught.value), "there is no memory for the base" in str(caught.value)) == (True, True)


def stats(**changes: Any) -> FunctionStats:
    """What Modal tells of an hour."""
    latency = StatsPercentileDistribution("seconds", [StatsPercentile(50, 0.25), StatsPercentile(95, 1.5)])
    given: dict[str, Any] = {
        "since": None,
        "until": None,
        "input_success_count": 90,
        "input_failure_count": 7,
        "input_timeout_count": 3,
        "input_running_at_end_count": 0,
        "input_percentile_stats": {"End-to-end latency (s)": latency},
        "container_started_count": 1,
        "container_error_count": 0,
        "container_creating_at_end_count": 0,
        "container_percentile_stats": {},
        "container_total_count": 1,
        "variant_count": 0,
        "all_variants": False,
    }
    return FunctionStats(**{**given, **changes})


ENGINE = InferenceMetrics(first_token_p50_ms=80.0, prompt_tokens=10, completion_tokens=20, requests=5, queue=9)


@dataclass(frozen=True)
class Figures:
    id: str
    engine: InferenceMetrics | None
    stats: FunctionStats
    want: InferenceMetrics


SEEN = {"requests": 100, "errors": 10, "queue": 4, "replicas": 2}
FIGURES = [
    Figures(
        "several containers: no tokens, for each engine knows its own only",
        None,
        stats(),
        InferenceMetrics(**SEEN, latency_p50_ms=250.0, latency_p95_ms=1500.0),
    ),
    Figures(
        "no traffic: no latency, and not zero",
        None,
        stats(input_percentile_stats={}),
        InferenceMetrics(**SEEN),
    ),
    Figures(
        "one container: its engine's tokens",
        ENGINE,
        stats(),
        InferenceMetrics(
            **SEEN,
            latency_p50_ms=250.0,
            latency_p95_ms=1500.0,
            first_token_p50_ms=80.0,
            prompt_tokens=10,
            completion_tokens=20,
        ),
    ),
]


@pytest.mark.parametrize("case", FIGURES, ids=lambda case: case.id)
def test_figures_are_modal_s_and_the_engine_s_where_it_knows_all(case: Figures) -> None:
    assert build_metrics_of(case.stats, 4, 2, case.engine) == case.want
