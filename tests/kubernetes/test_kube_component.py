"""The component under recording mocks: the manifests as they are, in which order, and where secrets are."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fakes.kubeconfig import KUBECONFIG, SERVER
from fakes.pulumi_recorder import Recorded, Run, compare, record
from kube_servings import GIVEN, NAME, NO_PLATFORM, Given, trained

from components.hosting import HostingArgs
from components.kubernetes import KubernetesVllm
from takeover.errors import Refusals, Refused
from takeover.kubernetes import manifests
from takeover.kubernetes.words import role_of
from takeover.tiers import tier

REWRITE = os.environ.get("TAKEOVER_REWRITE") == "1"
KEY = "a-key-that-nobody-may-see-0123456789"


@pytest.fixture(autouse=True)
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setenv("TAKEOVER_API_KEY", KEY)
    return path


def run(given: Given, *, protect: bool = False, program: Callable[[KubernetesVllm], None] = lambda _: None) -> Run:
    args = HostingArgs(tier("dedicated-vllm", "kubernetes"), given.models, given.spec, protect)
    secret = {"data": {"api-key": base64.b64encode(b"the-key-of-the-cluster").decode()}}
    outputs = {
        "kubernetes:core/v1:Secret": lambda _name, inputs: secret if "stringData" not in inputs else {},
        "kubernetes:apps/v1:Deployment": lambda _name, _inputs: {"status": {"readyReplicas": 2}},
    }
    return record(lambda: program(KubernetesVllm("hosting", args)), stack="prod", outputs=outputs)


def named(found: Run) -> dict[str, Recorded]:
    return {each.name: each for each in found.made if each.type.startswith("kubernetes:")}


def without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: without_none(each) for key, each in value.items() if each is not None}
    return [without_none(each) for each in value] if isinstance(value, list | tuple) else value


def plain(value: Any) -> Any:
    """As the recorder has it: texts that are JSON objects are read, by which its own order is kept out."""
    from fakes import pulumi_recorder

    return pulumi_recorder._plain(value)


@pytest.mark.parametrize("name", GIVEN)
def test_each_object_is_handed_over_as_it_is(name: str) -> None:
    given = replace(GIVEN[name], platform=NO_PLATFORM, target_latency_ms=None)
    found = named(run(given))
    wanted = manifests(replace(given.serving(), key_mark=mark_of(found)))
    for each in wanted:
        inputs = dict(found[role_of(each, NAME)].inputs)
        # Pulumi's own affair, which no manifest has.
        if each["kind"] == "Service":
            assert inputs["metadata"].pop("annotations") == {"pulumi.com/skipAwait": "true"}
        assert without_none(inputs) == plain(each)
    assert set(found) - {"secret-key", "given-key"} == {role_of(each, NAME) for each in wanted}
    assert {each.provider for each in found.values()} == {"cluster"}


def mark_of(found: Mapping[str, Recorded]) -> str:
    workload = found.get("deployment") or found["leaderworkerset"]
    return str(workload.inputs["metadata"]["annotations"].get("takeover.dev/key", ""))


def test_walls_and_secrets_come_before_pods_and_what_leads_to_them_after() -> None:
    found = named(run(GIVEN["full"], protect=True))
    pods = found["deployment"]
    assert set(pods.after) >= {"networkpolicy", "serviceaccount", "externalsecret-key", "externalsecret-hub"}
    assert "deployment" in found["ingress"].after
    assert "deployment" in found["scaledobject"].after
    assert pods.ignore_changes == ["spec.replicas"]
    assert pods.protect
    assert not found["configmap-gate"].protect
    # Six pods, one after the other; Pulumi's own limit of ten minutes would be over with the first.
    hours, minutes = re.fullmatch(r"(?:(\d+)h)?(\d+)m.*", pods.timeouts["update"]).groups()
    assert 60 * int(hours or 0) + int(minutes) >= 6 * 40


def test_the_key_of_the_environment_is_a_secret_everywhere() -> None:
    exported: dict[str, Any] = {}
    found = run(
        GIVEN["minimal"], program=lambda made: made.api_key.apply(lambda key: exported.update(key=key)) and None
    )
    assert exported == {"key": KEY}
    everything = "\n".join([str([each.inputs for each in found.made]), *found.said])
    assert KEY not in everything
    assert named(found)["secret-key"].inputs["stringData"] == "[secret]"
    assert "secret-key" in named(found)["deployment"].after


def test_another_key_is_another_rollout(monkeypatch: pytest.MonkeyPatch) -> None:
    before = mark_of(named(run(GIVEN["minimal"])))
    monkeypatch.setenv("TAKEOVER_API_KEY", KEY + "x")
    after = mark_of(named(run(GIVEN["minimal"])))
    assert re.fullmatch(r"[0-9a-f]{12}", before)
    assert before != after


@dataclass(frozen=True)
class Known:
    id: str
    given: str
    key: str | None


@pytest.mark.parametrize(
    "known",
    [
        Known("a Secret that is there is read", "several-adapters", "the-key-of-the-cluster"),
        Known("what only the store knows stays there", "full", None),
    ],
    ids=lambda known: known.id,
)
def test_the_key_of_somebody_else(known: Known) -> None:
    exported: dict[str, Any] = {}
    found = run(
        GIVEN[known.given], program=lambda made: made.api_key.apply(lambda key: exported.update(key=key)) and None
    )
    assert exported == {"key": known.key}
    assert "secret-key" not in named(found)
    assert mark_of(named(found)) == ""


def test_the_provider_is_the_cluster_that_the_stack_names() -> None:
    given = replace(GIVEN["minimal"], options={"monitoring": "none", "expectedCluster": SERVER, "context": "prod"})
    found = run(given)
    [provider] = found.of("pulumi:providers:kubernetes")
    assert provider.inputs["clusterIdentifier"] == SERVER
    assert provider.inputs["context"] == "prod"
    assert "not-a-real-token" not in str(provider.inputs)


def refused(given: Given) -> tuple[Refused, ...]:
    with pytest.raises(Refusals) as error:
        run(given)
    return error.value.mistakes


def test_another_cluster_than_the_stack_s_is_refused() -> None:
    [error] = refused(replace(GIVEN["minimal"], options={"expectedCluster": "https://198.51.100.1:6443"}))
    assert error.happened == f"the kubeconfig leads to another cluster: {SERVER}"
    assert error.where == "takeover:kubernetes.expectedCluster"


def test_all_that_is_missing_is_named_at_once_and_nothing_is_made(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAKEOVER_API_KEY", "short")
    kubeconfig.unlink()
    mistakes = refused(replace(GIVEN["minimal"], models=(trained(source=""),)))
    assert [mistake.happened.replace(str(kubeconfig), "PATH") for mistake in mistakes] == [
        "TAKEOVER_API_KEY is no key of 24 characters or more",
        f"{trained().served_name} is a folder on this machine",
        "there is no kubeconfig at PATH",
    ]


def test_what_is_said_before() -> None:
    said = {name: run(GIVEN[name]).said for name in ("minimal", "full", "scale-to-zero", "multi-node")}
    text = "".join(f"{name}:\n" + "".join(f"  {line}\n" for line in lines) for name, lines in said.items())
    compare(text, Path(__file__).parent / "snapshots" / "sentences.txt", rewrite=REWRITE)
