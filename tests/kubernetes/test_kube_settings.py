"""Each mistake of `takeover:kubernetes`: the key that it names, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from takeover.settings._kubernetes import KubernetesOptions, kubernetes_mistakes
from takeover.settings._messages import validate
from takeover.settings._models import Hosting

SERVER = "https://203.0.113.10:6443"
PROMETHEUS = {"prometheus": "http://prometheus:9090"}
GATEWAY = {"name": "llm", "namespace": "gateways"}
EXTENSION = {"routing": "inference-extension"}
INGRESS = {"host": "a.example.com", "className": "nginx"}
PICKER = f"ghcr.io/llm-d/llm-d-router-endpoint-picker:v0.10.0@sha256:{'d' * 64}"


def hosting(
    replicas: tuple[int, int] = (1, 1), *, environment: str = "development", cluster: str = "kubernetes"
) -> Hosting:
    return Hosting.model_validate(
        {
            "environment": environment,
            "provider": "dedicated-vllm",
            "cluster": cluster,
            "coldStartTolerance": "none",
            "minReplicas": replicas[0],
            "maxReplicas": replicas[1],
        }
    )


@dataclass(frozen=True)
class Wrong:
    id: str
    options: Mapping[str, Any]
    where: tuple[str, ...]
    said: str
    hosting: Hosting = field(default_factory=hosting)


WRONG = (
    Wrong("a cluster that is no address", {"expectedCluster": "prod"}, ("expectedCluster",), "is prod"),
    Wrong(
        "production without its cluster's address",
        {},
        ("expectedCluster",),
        "is missing",
        hosting(environment="production"),
    ),
    Wrong("a kubeconfig on EKS", {"kubeconfig": "~/x"}, ("kubeconfig",), "cluster is eks", hosting(cluster="eks")),
    Wrong("the default namespace", {"namespace": "default"}, ("namespace",), "is default"),
    Wrong("a namespace in capitals", {"namespace": "LLM"}, ("namespace",), "no name in Kubernetes"),
    Wrong(
        "a Secret in a namespace that is made with the endpoint",
        {"apiKeySecret": "key", "imagePullSecrets": ["registry"]},
        ("apiKeySecret", "imagePullSecrets"),
        "the namespace is made with the endpoint",
    ),
    Wrong("a tag for an image", {"image": "vllm/vllm-openai:v0.30.0"}, ("image",), "names no digest"),
    Wrong("vLLM's image for SGLang", {"engine": "sglang"}, ("image",), "is vLLM's"),
    Wrong("a GPU that there is not", {"gpu": "L40X"}, ("gpu",), "is L40X"),
    Wrong("shared memory as large as all of it", {"sharedMemoryGib": 24}, ("sharedMemoryGib",), "memoryGib is 24"),
    Wrong(
        "two places for the cache",
        {"namespace": "llm", "cacheClaim": "weights", "cacheStorageClass": "fast"},
        ("cacheStorageClass",),
        "cacheClaim names a volume",
    ),
    Wrong(
        "two places for the key",
        {"namespace": "llm", "apiKeySecret": "key", "externalSecret": {"store": "vault", "apiKey": "llm"}},
        ("apiKeySecret",),
        "externalSecret brings it",
    ),
    Wrong(
        "a part of a token that is nowhere",
        {"externalSecret": {"store": "vault", "apiKey": "llm", "hubTokenProperty": "token"}},
        ("externalSecret.hubTokenProperty",),
        "hubToken is not",
    ),
    Wrong(
        "a drain longer than any request",
        {"drainSeconds": 700},
        ("drainSeconds",),
        "no request takes longer than 600 s",
    ),
    Wrong("KEDA without Prometheus", {}, ("prometheus",), "KEDA asks it", hosting((1, 3))),
    Wrong("nobody who scales", {"scaler": "none"}, ("scaler",), "replicas are 1 to 3", hosting((1, 3))),
    Wrong("zero by an HPA", {"scaler": "hpa"}, ("scaler",), "minReplicas is 0", hosting((0, 3))),
    Wrong("zero without what wakes", PROMETHEUS, ("wakeQuery",), "minReplicas is 0", hosting((0, 3))),
    Wrong(
        "an address with a password",
        {"prometheus": "http://a:b@prometheus"},
        ("prometheus",),
        "holds a name or a password",
    ),
    Wrong("the extension without a gateway", {**EXTENSION, "pickerImage": PICKER}, ("gateway",), "is missing"),
    Wrong("the extension without a picker", {**EXTENSION, "gateway": GATEWAY}, ("pickerImage",), "is missing"),
    Wrong("a gateway that nothing asks for", {"gateway": GATEWAY}, ("gateway",), "routing is service"),
    Wrong("a picker that nothing asks for", {"pickerImage": PICKER}, ("pickerImage",), "routing is service"),
    Wrong(
        "two ways in",
        {**EXTENSION, "gateway": GATEWAY, "pickerImage": PICKER, "ingress": INGRESS},
        ("ingress",),
        "the gateway is the way in",
    ),
    Wrong("a host that is none", {"ingress": {"host": "llm", "className": "nginx"}}, ("ingress.host",), "is llm"),
    Wrong("several nodes of SGLang", {"nodes": 2, "engine": "sglang", "image": PICKER}, ("nodes",), "engine is sglang"),
    Wrong("a caller that is no network", {"callers": ["10.0.0.0/99"]}, ("callers[0]",), "is 10.0.0.0/99"),
    Wrong("a way out that is no network", {"egressCidrs": ["everywhere"]}, ("egressCidrs[0]",), "is everywhere"),
    Wrong("a label that is none", {"nodeSelector": {"a b": "c"}}, ("nodeSelector",), "has the key a b"),
    Wrong(
        "several at once",
        {"gpu": "none", "image": "vllm", "drainSeconds": 601},
        ("image", "gpu", "drainSeconds"),
        "names no digest",
    ),
)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_a_mistake_names_its_key_and_what_to_do(wrong: Wrong) -> None:
    options, mistakes = validate(KubernetesOptions, "kubernetes", dict(wrong.options))
    assert options is not None, mistakes
    found = list(kubernetes_mistakes(options, wrong.hosting))
    assert [each.where for each in found] == [f"takeover:kubernetes.{key}" for key in wrong.where]
    assert wrong.said in str(found[0])
    assert all(each.fix for each in found)


RIGHT: Mapping[str, tuple[Mapping[str, Any], Hosting]] = {
    "nothing but defaults": ({}, hosting()),
    "production": ({"expectedCluster": SERVER, **PROMETHEUS}, hosting((2, 4), environment="production")),
    "a cluster by its UID": ({"expectedCluster": "0e8f2b6a-8f0c-4d5e-9a1b-2c3d4e5f6a7b"}, hosting()),
    "zero behind a picker": (
        {"routing": "inference-extension", "gateway": GATEWAY, "pickerImage": PICKER, **PROMETHEUS},
        hosting((0, 3)),
    ),
    "zero with a query": ({"wakeQuery": "sum(requests)", **PROMETHEUS}, hosting((0, 3))),
    "EKS": ({}, hosting(environment="production", cluster="eks")),
}


@pytest.mark.parametrize("name", RIGHT)
def test_nothing_is_wrong_with(name: str) -> None:
    options, asked = RIGHT[name]
    assert list(kubernetes_mistakes(KubernetesOptions.model_validate(dict(options)), asked)) == []


def test_a_key_that_there_is_not_is_refused_with_those_there_are() -> None:
    options, [mistake] = validate(KubernetesOptions, "kubernetes", {"spareGPU": True})
    assert options is None
    assert mistake.where == "takeover:kubernetes.spareGPU"
    assert mistake.fix.startswith("Did you mean spareGpu?")
