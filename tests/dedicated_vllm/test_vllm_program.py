"""The stack `prod`: its file, its component under recording mocks, and what the preview says."""

from __future__ import annotations

import asyncio
import contextvars
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks
from pulumi.runtime.stack import run_pulumi_func

from components.dedicated_vllm import DedicatedVllm, sentences
from components.endpoint import Endpoint
from components.hosting import HostingArgs
from takeover.errors import Refused
from takeover.planning import plan
from takeover.providers import named_models
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.settings import settings_from_stack_file
from takeover.tiers import TIERS

ROOT = Path(__file__).parents[2]
TIER = TIERS["dedicated-vllm"]
MODEL = TrainedModel(
    name="tone",
    digest="sha256:" + "a" * 64,
    served_name="tone@" + "a" * 12,
    path="/somewhere",
    base="tiny",
    rank=8,
)


def test_the_stack_s_file_is_valid_and_what_the_evaluation_has() -> None:
    settings = settings_from_stack_file(ROOT / "Pulumi.prod.yaml")
    assert settings.hosting.model_dump(by_alias=True) == {
        "environment": "production",
        "provider": "dedicated-vllm",
        "cluster": "existing",
        "coldStartTolerance": "none",
        "maxColdStartMs": None,
        "minReplicas": 1,
        "maxReplicas": 10,
        "targetLatencyMs": 200,
        "protect": True,
    }
    assert settings.options()["sharedPath"] == "/mnt/adapters"


def test_what_runs_already_costs_nothing_more() -> None:
    costs = plan(settings_from_stack_file(ROOT / "Pulumi.prod.yaml"), TIER)
    assert (costs.monthly_usd, costs.ceiling_usd) == (0.0, 0.0)
    assert costs.sentences == (
        "dedicated-vllm: vLLM servers of your own, which take the adapter at run time; 0 USD a month more: the servers "
        "run already, on a bill of their own.",
    )


class Mocks(mocks.Mocks):
    def __init__(self) -> None:
        self.made: list[tuple[str, str, dict[str, Any]]] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.made.append((args.typ, args.name, args.inputs))
        return f"{args.name}-id", {**args.inputs, "url": "https://vllm.example/v1"}

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        raise AssertionError(f"the program calls {args.token}")


def args_of(**changes: Any) -> HostingArgs:
    spec = EndpointSpec(name="demo-prod-1", base="tiny", options={"drainSeconds": 300, **changes})
    return HostingArgs(TIER, (MODEL,), spec, protect=True)


def made_by(monkeypatch: pytest.MonkeyPatch, args: HostingArgs) -> tuple[Mocks, list[bool | None], list[str]]:
    """The component, made in a loop and a context that end with it: what was made, protected, and said."""
    recording, said, protected = Mocks(), list[str](), list[bool | None]()

    class Recorded(Endpoint):
        def __init__(self, *given: Any, opts: pulumi.ResourceOptions, **named: Any) -> None:
            protected.append(opts.protect)
            super().__init__(*given, opts=opts, **named)

    async def run() -> None:
        mocks.set_mocks(recording, project="takeover", stack="prod", preview=False)
        await run_pulumi_func(lambda: DedicatedVllm("hosting", args))

    monkeypatch.setenv("VLLM_CLUSTER_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(pulumi.log, "info", said.append)
    monkeypatch.setattr("components.dedicated_vllm.Endpoint", Recorded)
    contextvars.copy_context().run(asyncio.run, run())
    return recording, protected, said


@pytest.mark.parametrize("protect", [True, False])
def test_the_component_is_one_endpoint_of_the_native_provider(monkeypatch: pytest.MonkeyPatch, protect: bool) -> None:
    recording, protected, said = made_by(monkeypatch, replace(args_of(), protect=protect))
    assert [made[:2] for made in recording.made] == [
        ("takeover:hosting:DedicatedVllm", "hosting"),
        ("takeover:index:Endpoint", "endpoint"),
    ]
    assert recording.made[1][2]["provider"] == "dedicated-vllm"
    assert protected == [protect]
    assert said == list(sentences(args_of()))


@pytest.mark.parametrize(
    ("url", "words"),
    [("", "VLLM_CLUSTER_URL is not set"), ("https://vllm.example", "sharedPath is not set")],
    ids=["no server", "a server that sees no files"],
)
def test_what_is_missing_is_said_before_anything_is_made(monkeypatch: pytest.MonkeyPatch, url: str, words: str) -> None:
    monkeypatch.setenv("VLLM_CLUSTER_URL", url)
    with pytest.raises(Refused, match=words):
        DedicatedVllm("hosting", args_of())


CHANGE = (
    "tone@aaaaaaaaaaaa: loaded beside what is served and asked a question on every replica before the outputs change; "
    "no request fails meanwhile. A version before it stays loaded, and is drift once it was unwanted and not asked for "
    "during 300 s: the next `up` after a `refresh` unloads it"
)
SENTENCES = [
    ({}, "tone@aaaaaaaaaaaa: the files are copied to the project's home (the server must be on this machine), verified "
     "there, and read by the servers"),
    ({"sharedPath": "/mnt/adapters"}, "tone@aaaaaaaaaaaa: the files are copied to /mnt/adapters, verified there, and "
     "read by the servers"),
    ({"adapterFiles": "server-pulls", "pullFrom": "acme/{name}-{digest12}"},
     "tone@aaaaaaaaaaaa: each server pulls the files itself, from acme/{name}-{digest12}; unverified there"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "first"), SENTENCES)
def test_the_preview_says_how_the_files_get_there_and_what_becomes_of_the_version_before(
    options: dict[str, Any], first: str
) -> None:
    assert list(sentences(args_of(**options))) == [first, CHANGE]


def test_callers_of_sglang_ask_for_another_name_and_nobody_else_does() -> None:
    assert named_models("dedicated-vllm", (MODEL,), {"engine": "sglang"})[0].served_name == "lora:tone@aaaaaaaaaaaa"
    assert named_models("dedicated-vllm", (MODEL,), {}) == (MODEL,)
    assert named_models("local", (MODEL,), {}) == (MODEL,)
