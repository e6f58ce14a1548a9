"""The world of Kubernetes and EKS: a small API server on the loopback, and the names of its Services leading there."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from fakes.kube_api import TOKEN, FakeKube
from world_defaults import AsMade, canned_endpoint

from takeover.providers import _http
from takeover.providers._base import Endpoint, EndpointSpec, TrainedModel

Exchange = Callable[[_http.Request, httpx.AsyncBaseTransport | None], Awaitable[_http.Response]]
HUB_BASE = "hub:Qwen/Qwen2.5-7B-Instruct@" + "0123456789" * 4
# The key of worlds.py, which imports this file.
SHOWN = "a-key-that-must-not-be-seen"


class KubeWorld(AsMade):
    """Any cluster by its kubeconfig."""

    cluster = "kubernetes"

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kube = FakeKube().__enter__()
        monkeypatch.setenv("KUBECONFIG", str(self.kube.kubeconfig(folder / "kube")))
        monkeypatch.setattr(_http, "_exchange", with_cluster_names(self.kube.url, _http._exchange))

    def existing(self, name: str) -> int:
        """Deployments of that name; without one, whatever else of it is left."""
        objects = [each for key, each in self.kube.store.objects.items() if key.plural != "nodes"]
        ours = [each for each in objects if _instance(each) == name]
        deployments = [each for each in ours if each["kind"] == "Deployment"]
        return len(deployments) or int(bool(ours))

    def secrets(self, name: str) -> list[str]:
        found = [each.get("data", {}) for _, each in self.kube.store.of("secrets")]
        return [TOKEN, *(base64.b64decode(value).decode() for data in found for value in data.values())]

    def logs(self, name: str) -> str:
        return json.dumps([each for key, each in self.kube.store.objects.items() if key.plural != "secrets"])

    def next_start_dies(self, words: str) -> None:
        self.kube.pods.dies = [words]

    def answering(self, status: int | None, body: str, headers: Mapping[str, str]) -> AbstractContextManager[Endpoint]:
        return canned_endpoint("dedicated-vllm", SHOWN, status, body, headers)

    def violations(self) -> list[str]:
        return self.kube.violations

    def requests(self) -> int:
        return len(self.kube.requests)

    def close(self) -> None:
        self.kube.__exit__()

    def dressed(self, model: TrainedModel) -> TrainedModel:
        source = f"hf://demo/{model.name}@{model.digest.removeprefix('sha256:')[:40]}"
        return model.model_copy(update={"base": HUB_BASE, "source": source})

    def wanted(self, spec: EndpointSpec) -> EndpointSpec:
        prometheus = {"prometheus": "http://prometheus.monitoring.svc:9090", **spec.options}
        return spec.model_copy(update={"base": HUB_BASE, "cluster": self.cluster, "options": prometheus})


class EksWorld(KubeWorld):
    """The same API; the cluster's kind is what the stack asks for."""

    cluster = "eks"


def _instance(each: Mapping[str, dict[str, dict[str, str]]]) -> str:
    return (each["metadata"].get("labels") or {}).get("app.kubernetes.io/instance", "")


def with_cluster_names(url: str, exchange: Exchange) -> Exchange:
    """`_exchange` of the providers' HTTP, as if this process stood inside of the cluster: Services have names."""

    async def exchanged(request: _http.Request, transport: httpx.AsyncBaseTransport | None) -> _http.Response:
        host, _, rest = (urlsplit(request.url).hostname or "").partition(".")
        if rest.endswith(".svc.cluster.local"):
            path = urlsplit(request.url).path
            request = replace(request, url=f"{url}/svc/{rest.removesuffix('.svc.cluster.local')}/{host}{path}")
        return await exchange(request, transport)

    return exchanged
