"""The Kubernetes provider against a small API server: what the conformance suite does not ask of every tier."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.kube_api import FakeKube
from fakes.kube_store import Key, Object

from takeover.errors import AuthError, NotReady, Refused, VendorError
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.providers._progress import reporting
from takeover.providers.kubernetes import KubernetesProvider

BASE = "hub:Qwen/Qwen2.5-7B@" + "0123456789" * 4
NAME = "demo-prod-0a1b2c3d"


def model(name: str = "tone", mark: str = "a") -> TrainedModel:
    digest = mark * 64
    return TrainedModel(
        name=name,
        digest=f"sha256:{digest}",
        served_name=f"{name}@{digest[:12]}",
        path="adapters/tone",
        base=BASE,
        rank=16,
        source=f"hf://demo/{name}@{'c' * 40}",
    )


def spec(least: int = 1, most: int = 1, **options: Any) -> EndpointSpec:
    return EndpointSpec(
        name=NAME,
        base=BASE,
        cluster="kubernetes",
        min_replicas=least,
        max_replicas=most,
        options={"monitoring": "none", "prometheus": "http://prometheus.monitoring.svc:9090", **options},
    )


async def no_wait(_seconds: float) -> None:
    """Retries and looks follow each other at once."""


@pytest.fixture
def kube(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKube]:
    with FakeKube() as fake:
        monkeypatch.setenv("KUBECONFIG", str(fake.kubeconfig(tmp_path)))
        yield fake
        assert fake.violations == []


@pytest.fixture
def provider() -> KubernetesProvider:
    return KubernetesProvider(sleep=no_wait)


def stored(kube: FakeKube, plural: str, name: str, namespace: str = NAME) -> Object:
    return next(each for _, each in kube.store.of(plural, namespace) if each["metadata"]["name"] == name)


async def test_what_passes_by_itself_is_tried_again(kube: FakeKube, provider: KubernetesProvider) -> None:
    kube.failures = [503, 429, None]
    endpoint = await provider.deploy((model(),), spec())
    assert endpoint.replicas_ready == 1


@pytest.mark.parametrize(
    ("failures", "error"), [([503] * 4, NotReady), ([None] * 4, VendorError), ([500], VendorError)], ids=str
)
async def test_what_does_not_pass_is_one_message(
    kube: FakeKube, provider: KubernetesProvider, failures: list[int | None], error: type[Exception]
) -> None:
    kube.failures = failures
    with pytest.raises(error, match="the cluster of the context fake"):
        await provider.find(NAME)


async def test_a_token_that_is_not_good_is_told(
    kube: FakeKube, provider: KubernetesProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kube.kubeconfig(tmp_path / "other", token="stale-and-secret")))
    with pytest.raises(AuthError, match="does not accept the kubeconfig's credentials") as caught:
        await provider.find(NAME)
    assert "stale-and-secret" not in str(caught.value)


async def test_a_credential_that_runs_out_meanwhile_is_read_anew(
    kube: FakeKube, provider: KubernetesProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An EKS token lasts 15 minutes: the command's second answer is the good one here."""
    first = tmp_path / "first"
    script = tmp_path / "credential.py"
    script.write_text(
        f"import json, pathlib\nfirst = pathlib.Path({str(first)!r})\n"
        "token = 'a-kube-token-that-must-not-be-seen' if first.exists() else 'old'\nfirst.touch()\n"
        "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential',"
        " 'status': {'token': token}}))\n"
    )
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": sys.executable, "args": [str(script)]}
    config = kube.kubeconfig(tmp_path / "other", exec={**command, "interactiveMode": "Never"})
    monkeypatch.setenv("KUBECONFIG", str(config))
    assert await provider.find(NAME) is None
    assert first.exists()


async def test_the_key_stays_and_another_one_is_another_template(
    kube: FakeKube, provider: KubernetesProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await provider.deploy((model(),), spec())
    generation = stored(kube, "deployments", NAME)["metadata"]["generation"]
    second = await provider.deploy((model(),), spec())
    assert second.api_key == first.api_key
    assert stored(kube, "deployments", NAME)["metadata"]["generation"] == generation
    monkeypatch.setenv("TAKEOVER_API_KEY", "chosen-by-hand")
    third = await provider.deploy((model(),), spec())
    assert third.api_key is not None
    assert third.api_key.get_secret_value() == "chosen-by-hand"
    assert stored(kube, "deployments", NAME)["metadata"]["generation"] == generation + 1


async def test_a_secret_that_is_named_must_be_there(kube: FakeKube, provider: KubernetesProvider) -> None:
    with pytest.raises(Refused, match="has no Secret llm-key with a value api-key"):
        await provider.deploy((model(),), spec(namespace="default", apiKeySecret="llm-key"))
    assert list(kube.store.of("deployments")) == []


async def test_two_adapters_are_served_side_by_side(kube: FakeKube, provider: KubernetesProvider) -> None:
    models = (model(), model("legal", "b"))
    endpoint = await provider.deploy(models, spec())
    told = await provider.describe(endpoint)
    assert told is not None
    assert (endpoint.models, told.digests) == (
        tuple(each.served_name for each in models),
        tuple(each.digest for each in models),
    )


async def test_what_somebody_else_made_is_not_taken_over(kube: FakeKube, provider: KubernetesProvider) -> None:
    key = Key("v1", "serviceaccounts", "default", NAME)
    other: Object = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "labels": {}}}
    kube.store.objects[key] = other
    with pytest.raises(Refused, match=f"ServiceAccount {NAME} exists in default and was not made for {NAME}"):
        await provider.deploy((model(),), spec(namespace="default"))
    assert kube.store.objects[key] is other
    assert list(kube.store.of("deployments")) == []


async def test_a_namespace_that_is_not_there_is_named(kube: FakeKube, provider: KubernetesProvider) -> None:
    with pytest.raises(Refused, match="has no namespace llm") as caught:
        await provider.deploy((model(),), spec(namespace="llm"))
    assert "kubectl create namespace llm" in str(caught.value)


async def test_an_operator_that_is_not_installed_is_named_before_anything_is_written(
    kube: FakeKube, provider: KubernetesProvider
) -> None:
    external = {"store": "vault", "apiKey": "llm/key"}
    with pytest.raises(Refused, match="does not know the kind of ExternalSecret"):
        await provider.deploy((model(),), spec(namespace="default", externalSecret=external))
    assert list(kube.store.of("serviceaccounts")) == []


async def test_scaling_asks_whoever_decides(kube: FakeKube, provider: KubernetesProvider) -> None:
    heard: list[str] = []
    endpoint = await provider.deploy((model(),), spec(1, 4))
    with reporting(lambda step, sentence: heard.append(sentence)):
        await provider.scale(endpoint, 3)
    assert stored(kube, "scaledobjects", NAME)["spec"]["minReplicaCount"] == 3
    assert heard == [f"ScaledObject {NAME} keeps 3 or more from now on"]
    with pytest.raises(Refused, match="5 replicas are more than the ScaledObject"):
        await provider.scale(endpoint, 5)


async def test_an_autoscaler_is_asked_too_and_cannot_go_to_zero(kube: FakeKube, provider: KubernetesProvider) -> None:
    endpoint = await provider.deploy((model(),), spec(1, 4, scaler="hpa"))
    await provider.scale(endpoint, 2)
    assert stored(kube, "horizontalpodautoscalers", NAME)["spec"]["minReplicas"] == 2
    with pytest.raises(Refused, match="cannot go down to 0"):
        await provider.scale(endpoint, 0)


async def test_without_the_right_to_see_pods_the_rest_is_told(kube: FakeKube, provider: KubernetesProvider) -> None:
    kube.denied = {("list", "pods"), ("get", "nodes"), ("list", "namespaces")}
    endpoint = await provider.deploy((model(),), spec())
    told = await provider.describe(endpoint)
    assert told is not None
    assert (told.healthy, told.digests, told.hardware) == (True, (model().digest,), None)
    with pytest.raises(AuthError, match=r"lacks the verb list on pods in the namespace"):
        await provider.get_metrics(endpoint)


async def test_an_adapter_of_a_folder_is_refused_with_the_way(kube: FakeKube, provider: KubernetesProvider) -> None:
    with pytest.raises(Refused, match="takeover push"):
        await provider.deploy((model().model_copy(update={"source": ""}),), spec())
    assert kube.requests == []


async def test_zero_replicas_are_healthy_and_nobody_is_asked(kube: FakeKube, provider: KubernetesProvider) -> None:
    endpoint = await provider.deploy((model(),), spec())
    await provider.scale(endpoint, 0)
    told = await provider.describe(endpoint)
    assert told is not None
    assert (told.healthy, told.reason) == (True, "at 0 replicas")
    with pytest.raises(NotReady, match="no pod of"):
        await provider.get_metrics(endpoint)


def test_the_client_s_package_is_loaded_only_for_a_cluster() -> None:
    code = "import sys, takeover.providers.kubernetes; sys.exit('kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0
