"""What travels to a container, and what a stack asks of Modal: read strictly, all mistakes at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from takeover.errors import Refusals
from takeover.modal_contract import (
    AdapterRef,
    ContainerSettings,
    container_environment,
    fingerprint,
    parse_container_settings,
)
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.providers._modal_options import build_settings, cached_adapter

DIGEST = "sha256:" + "3f" * 32
SETTINGS = ContainerSettings(
    name="takeover-staging-0a1b2c3d",
    base="hub:acme/base@" + "0" * 40,
    adapters=(AdapterRef(name="tone", digest=DIGEST, source="adapters/tone"),),
    kept=(AdapterRef(name="tone", digest="sha256:" + "4f" * 32),),
    largest_rank=64,
    gpu="L40S",
    max_containers=3,
    regions=("eu", "us"),
    secrets=("huggingface",),
    context_length=8192,
    labels={"stack": "staging"},
)


def test_the_settings_travel_as_one_variable_for_each_field() -> None:
    environment = container_environment(SETTINGS)
    assert {name: environment[name] for name in sorted(environment) if "VOLUME" in name or "GPU" in name} == {
        "TAKEOVER_MODAL_BASES_VOLUME": "takeover-bases",
        "TAKEOVER_MODAL_GPU": "L40S",
    }
    assert parse_container_settings({**environment, "PATH": "/bin", "MODAL_TASK_ID": "ta-1"}) == SETTINGS


def test_a_name_that_looks_like_a_number_stays_text() -> None:
    assert parse_container_settings(container_environment(SETTINGS.model_copy(update={"name": "123"}))).name == "123"


def test_all_that_is_wrong_with_an_environment_is_said_at_once_by_its_variable() -> None:
    wrong = {"TAKEOVER_MODAL_GPU": "", "TAKEOVER_MODAL_MAX_CONTAINERS": "many", "TAKEOVER_MODAL_GPUS": "1"}
    with pytest.raises(Refusals) as caught:
        parse_container_settings({**container_environment(SETTINGS), **wrong})
    assert sorted(mistake.where for mistake in caught.value.mistakes) == sorted(wrong)


@dataclass(frozen=True)
class Sameness:
    id: str
    changes: dict[str, Any]
    source: str = "source"
    same: bool = False


SAMENESSES = [
    Sameness("nothing changed", {}, same=True),
    Sameness("the adapter lies elsewhere", {"adapters": (AdapterRef(name="tone", digest=DIGEST),)}, same=True),
    Sameness("something else is kept", {"kept": ()}, same=True),
    Sameness("another key", {"key_mark": "0a1b2c"}, same=True),
    Sameness("another adapter", {"adapters": SETTINGS.kept}),
    Sameness("one more container", {"max_containers": 4}),
    Sameness("another source of the app", {}, source="other"),
]


@pytest.mark.parametrize("case", SAMENESSES, ids=lambda case: case.id)
def test_a_fingerprint_changes_with_what_a_deploy_would_change(case: Sameness) -> None:
    changed = fingerprint(SETTINGS.model_copy(update=case.changes), case.source)
    assert (changed == fingerprint(SETTINGS, "source")) is case.same


def spec(**changes: Any) -> EndpointSpec:
    given = {"name": "takeover-staging-0a1b2c3d", "base": "tiny", "minReplicas": 0, "maxReplicas": 2}
    return EndpointSpec.model_validate({**given, **changes})


def model(path: str = "/project/adapters/tone", rank: int = 24) -> TrainedModel:
    name = f"tone@{DIGEST[7:19]}"
    return TrainedModel(name="tone", digest=DIGEST, served_name=name, path=path, base="tiny", rank=rank)


@dataclass(frozen=True)
class Asked:
    """Options of a stack, and what of the container's settings they decide."""

    id: str
    options: dict[str, Any]
    want: dict[str, Any]


ASKED = [
    Asked("one GPU has a snapshot by default", {}, {"gpu": "L40S", "snapshot": True}),
    Asked("several GPUs have none", {"gpu": "H100:2"}, {"gpu": "H100:2", "snapshot": False}),
    Asked("a snapshot can be switched off", {"snapshot": "off"}, {"snapshot": False}),
    Asked("the rank is the next one that vLLM takes", {}, {"largest_rank": 32}),
    Asked(
        "everything else as it is written",
        {"regions": ["eu"], "secrets": ["hf"], "bufferContainers": 1, "scaledownWindowSeconds": 60, "vllm": "0.34.1"},
        {
            "regions": ("eu",),
            "secrets": ("hf",),
            "buffer_containers": 1,
            "scaledown_window_s": 60,
            "vllm_version": "0.34.1",
        },
    ),
    Asked("replicas are containers", {}, {"min_containers": 0, "max_containers": 2}),
]


@pytest.mark.parametrize("case", ASKED, ids=lambda case: case.id)
def test_a_stack_s_options_become_the_container_s_settings(case: Asked) -> None:
    settings = build_settings([model()], spec(options=case.options)).model_dump()
    assert {name: settings[name] for name in case.want} == case.want


@dataclass(frozen=True)
class Placed:
    id: str
    path: str
    root: Path | None
    want: str


PLACED = [
    Placed("below the project, relative to it", "/project/adapters/tone", Path("/project"), "adapters/tone"),
    Placed("elsewhere, as it is", "/data/tone", Path("/project"), "/data/tone"),
    Placed("in the cache, by its digest alone", str(cached_adapter(DIGEST)), Path("/project"), ""),
]


@pytest.mark.parametrize("case", PLACED, ids=lambda case: case.id)
def test_the_settings_are_the_same_on_every_machine_where_that_is_possible(case: Placed) -> None:
    assert build_settings([model(case.path)], spec(), root=case.root).adapters[0].source == case.want


@dataclass(frozen=True)
class Refusal:
    id: str
    want: list[str]
    options: dict[str, Any] = field(default_factory=dict)
    base: str = "tiny"


REFUSALS = [
    Refusal(
        "a base in a folder of this machine, and a snapshot of two GPUs, together",
        [
            "Modal cannot reach the base folder:/models/base",
            "takeover:modal.snapshot is on, but takeover:modal.gpu is L40S:2",
        ],
        options={"snapshot": "on", "gpu": "L40S:2"},
        base="folder:/models/base",
    ),
    Refusal("a GPU that Modal has not", ["String should match pattern"], options={"gpu": "L4O"}),
    Refusal(
        "several wrong options", ["Input should be", "Extra inputs"], options={"scaledownWindowSeconds": 1, "x": 1}
    ),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.id)
def test_what_modal_cannot_do_is_refused_before_anything_is_made(case: Refusal) -> None:
    with pytest.raises(Refusals) as caught:
        build_settings([model()], spec(base=case.base, options=case.options))
    happened = [mistake.happened for mistake in caught.value.mistakes]
    assert [text[: len(want)] for text, want in zip(happened, case.want, strict=True)] == case.want
