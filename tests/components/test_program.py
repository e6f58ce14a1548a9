"""The whole Pulumi program under recording mocks: every resource that it makes, and what it exports."""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest
from fakes.artifacts import make_adapter
from pulumi.runtime import mocks, set_all_config
from pulumi.runtime.stack import run_pulumi_func

from components.program import program
from takeover.adapter import Adapter
from takeover.errors import Refusals
from takeover.naming import endpoint_name

HOSTING = {"environment": "development", "provider": "local"}


@dataclass
class RecordingMocks(mocks.Mocks):
    """Keeps every resource, and gives the outputs that the program reads."""

    made: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.made.append((args.typ, args.name, args.inputs))
        outputs = {
            "url": "http://127.0.0.1:8000/v1",
            "protocol": "openai",
            "apiKey": "hush",
            "regions": [],
            "replicasReady": 1,
            "coldStartMeasuredMs": 900,
        }
        return f"{args.name}-id", {**args.inputs, **outputs}

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        raise AssertionError(f"the program calls {args.token}")


@dataclass(frozen=True)
class Ran:
    """What the program made, exported (and which of it is secret) and said."""

    made: list[tuple[str, str, dict[str, Any]]]
    exported: dict[str, Any]
    secrets: list[str]
    said: list[str]


def run(settings: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> Ran:
    """The program, run as the engine runs it, in a loop and a context that end with it."""
    return contextvars.copy_context().run(asyncio.run, _run(settings, monkeypatch))


async def _run(settings: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> Ran:
    recording, said, exported = RecordingMocks(), list[str](), dict[str, Any]()
    set_all_config({f"takeover:{key}": json.dumps(value) for key, value in settings.items()})
    mocks.set_mocks(recording, project="takeover", stack="dev", preview=False)
    monkeypatch.setattr(pulumi.log, "info", said.append)
    monkeypatch.setattr(pulumi, "export", exported.__setitem__)
    await run_pulumi_func(program)
    outputs = {key: leaf for key, leaf in exported["endpoint"].items() if isinstance(leaf, pulumi.Output)}
    secrets = [key for key, leaf in outputs.items() if await leaf.is_secret()]
    known = await pulumi.Output.from_input(exported).future()
    return Ran(recording.made, dict(known or {}), secrets, said)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: takeover\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_adapter_on_the_local_tier_is_a_component_with_one_endpoint(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = make_adapter(root / "adapters" / "tone")
    ran = run({"hosting": HOSTING, "adapter": {"source": "adapters/tone"}, "local": {"maxBatch": 4}}, monkeypatch)
    assert ran.made == [
        ("takeover:hosting:Local", "hosting", {}),
        ("takeover:index:Endpoint", "endpoint", {"provider": "local", "models": [model(adapter)], "spec": SPEC}),
    ]


def test_the_output_endpoint_is_whole_and_its_key_alone_is_secret(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = make_adapter(root / "adapters" / "tone")
    ran = run({"hosting": HOSTING, "adapter": {"source": "adapters/tone"}}, monkeypatch)
    assert ran.exported == {
        "endpoint": {
            "schemaVersion": 1,
            "provider": "local",
            "cluster": None,
            "url": "http://127.0.0.1:8000/v1",
            "protocol": "openai",
            "model": adapter.served_name,
            "digest": adapter.digest,
            "adapters": [{"name": adapter.name, "model": adapter.served_name, "digest": adapter.digest}],
            "regions": [],
            "apiKey": "hush",
            "coldStart": {"expectedMs": 60000, "measuredMs": 900},
            "replicas": {"min": 1, "max": 1, "ready": 1},
            "plan": {"monthlyUsd": 0.0, "floorUsd": 0.0, "ceilingUsd": 0.0, "perMillionTokensUsd": 0.0},
            "fallback": [],
        }
    }
    assert ran.secrets == ["apiKey"]


def test_several_adapters_on_one_base_are_one_endpoint_in_the_order_of_the_settings(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_adapter(root / "b", name="billing", seed=1)
    second = make_adapter(root / "a", name="tone")
    sources = [{"source": "b", "digest": first.digest}, {"source": "a", "digest": second.digest}]
    ran = run({"hosting": HOSTING, "adapters": sources}, monkeypatch)
    assert [made[:2] for made in ran.made] == [
        ("takeover:hosting:Local", "hosting"),
        ("takeover:index:Endpoint", "endpoint"),
    ]
    assert ran.made[1][2]["models"] == [model(first), model(second)]
    assert ran.exported["endpoint"]["model"] == first.served_name


def test_it_says_what_is_served_from_where_and_what_it_costs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = make_adapter(root / "adapters" / "tone")
    settings = {"hosting": HOSTING, "adapter": {"source": "adapters/tone"}, "modal": {"gpu": "T4"}}
    ran = run(settings, monkeypatch)
    assert ran.said == [
        f"{adapter.served_name} from adapters/tone ({adapter.digest}, rank 4, on tiny); "
        "takeover:adapter.digest is not set, so it is whatever the folder holds",
        "takeover:modal is not used: takeover:hosting.provider is local",
        "local: a process on this machine; costs nothing, serves one laptop; 0 USD a month, whatever the traffic.",
    ]


def test_every_adapter_that_is_wrong_is_named_and_nothing_is_made(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_adapter(root / "a", name="tone")
    other = "sha256:" + "0" * 64
    sources = [{"source": "a", "digest": other}, {"source": "nowhere", "digest": other}]
    with pytest.raises(Refusals) as caught:
        run({"hosting": HOSTING, "adapters": sources}, monkeypatch)
    assert len(caught.value.mistakes) == 2
    assert "there is no such folder" in str(caught.value)
    assert f"but {other} was asked for" in str(caught.value)


def test_a_key_that_nobody_knows_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refusals, match="takeover:colour is not a setting"):
        run({"hosting": HOSTING, "adapter": {"source": "a"}, "colour": "red"}, monkeypatch)


def model(adapter: Adapter) -> dict[str, Any]:
    return {
        "name": adapter.name,
        "digest": adapter.digest,
        "servedName": adapter.served_name,
        "path": str(adapter.path),
        "base": "tiny",
        "rank": 4.0,
        "source": "",
    }


SPEC = {
    "name": endpoint_name("takeover", "dev", "tiny"),
    "base": "tiny",
    "cluster": "",
    "minReplicas": 1.0,
    "maxReplicas": 1.0,
    "options": {
        "engine": "takeover",
        "port": 0.0,
        "dtype": "auto",
        "maxBatch": 4.0,
        "maxQueue": 64.0,
        "startTimeoutSeconds": 300.0,
        "drainSeconds": 30.0,
    },
    "labels": {"managed-by": "takeover", "project": "takeover", "stack": "dev", "tier": "local"},
    "flags": {},
}
