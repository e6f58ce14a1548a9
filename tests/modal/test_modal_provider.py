"""ModalProvider where it differs from other tiers: asleep, scaled by hand, kept adapters, strangers, slow starts."""

from __future__ import annotations

import asyncio
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

from takeover.errors import ColdStart, NotReady, Refused
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


async def test_an_endpoint_that_sleeps_tells_what_it_will_serve_and_is_not_woken_by_looking(
    modal: FakeModal, tmp_path: Path
) -> None:
    model = adapter(tmp_path, 1)
    endpoint = await PROVIDER.deploy((model,), spec())
    assert endpoint.cold_start_measured_ms is not None
    modal.web.containers.clear()
    told = await PROVIDER.describe(endpoint)
    assert looked(told) == (True, 0, (model.digest,))
    found = await PROVIDER.find(NAME)
    assert found is not None
    assert (found.replicas_ready, found.cold_start_measured_ms, found.api_key) == (0, None, endpoint.api_key)
    assert modal.web.containers == {}
    figures = await PROVIDER.get_metrics(endpoint)
    assert (figures.replicas, figures.prompt_tokens, figures.errors) == (0, None, 0)


async def test_scaling_is_by_the_autoscaler_and_the_next_deploy_undoes_it(modal: FakeModal, tmp_path: Path) -> None:
    model = adapter(tmp_path, 1)
    endpoint = await PROVIDER.deploy((model,), spec())
    modal.calls.clear()
    await PROVIDER.scale(endpoint, 1)
    assert modal.calls[-1] == "FunctionUpdateSchedulingParams"
    told = await PROVIDER.describe(endpoint)
    assert told is not None
    assert (told.healthy, told.reason) == (
        False,
        "it was scaled to at least 1 and at most 2 containers; it was deployed with 0 to 2",
    )
    await PROVIDER.scale(endpoint, 5)
    told = await PROVIDER.describe(endpoint)
    assert told is not None
    assert "at least 5 and at most 5" in told.reason
    modal.calls.clear()
    await PROVIDER.deploy((model,), spec())
    assert "AppPublish" not in modal.calls
    assert looked(await PROVIDER.describe(endpoint))[0]


async def test_who_asks_for_yesterday_s_adapter_is_answered_until_the_next_change(
    modal: FakeModal, tmp_path: Path
) -> None:
    models = [adapter(tmp_path, seed) for seed in (1, 2, 3)]
    endpoints = []
    for model in models:
        endpoints.append(await PROVIDER.deploy((model,), spec()))
        answers = [await PROVIDER.inference(endpoint, "hello") for endpoint in endpoints[-2:]]
        assert answers == [f"{endpoint.models[0]} says: hello" for endpoint in endpoints[-2:]]
    assert looked(await PROVIDER.describe(endpoints[-1])) == (True, 1, (models[-1].digest,))
    with pytest.raises(Refused, match="does not exist"):
        await PROVIDER.inference(endpoints[0], "hello")
    assert len({endpoint.url for endpoint in endpoints} | {str(endpoint.api_key) for endpoint in endpoints}) == 2


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


async def test_two_deploys_at_once_make_one_app(modal: FakeModal, tmp_path: Path) -> None:
    model = adapter(tmp_path, 1)
    endpoints = await asyncio.gather(*(PROVIDER.deploy((model,), spec()) for _ in range(2)))
    assert (endpoints[0], modal.calls.count("AppPublish")) == (endpoints[1], 1)
