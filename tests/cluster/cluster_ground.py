"""What the tests on the control plane share: endpoints as the builders make them, and what the cluster says of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from control_plane import WRONG_DIGEST, ControlPlane, wait_for
from kube_http import Object

from takeover.kubernetes import Serving, manifests, names
from takeover.providers._base import TrainedModel

# The values of tests/kubernetes, whose folder is on the path only where its own tests are collected.
sys.path.append(str(Path(__file__).parents[1] / "kubernetes"))
from kube_servings import BASE, GIVEN, NAME, Given, trained

__all__ = ["BASE", "GIVEN", "NAME", "Given", "Live", "free_gpus", "live", "quick", "require_kinds", "trained", "wrong"]


def wrong(name: str = "tone") -> TrainedModel:
    """An adapter whose bytes are never those of its digest."""
    short = WRONG_DIGEST.removeprefix("sha256:")[:12]
    return trained(name).model_copy(update={"digest": WRONG_DIGEST, "served_name": f"{name}@{short}"})


@dataclass(frozen=True)
class Live:
    """One endpoint on the cluster, in a namespace of its own."""

    plane: ControlPlane
    serving: Serving

    @property
    def namespace(self) -> str:
        return self.serving.namespace

    @property
    def path(self) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{self.serving.name}"

    def apply(self, *models: TrainedModel, **strategy: Any) -> None:
        """Everything by server-side apply; `strategy` are other fields of the rolling update than the builders'."""
        for manifest in quick(manifests(replace(self.serving, models=models or self.serving.models)), strategy):
            self.plane.kube.apply(manifest)

    def deployment(self) -> Object:
        return self.plane.kube.call("GET", self.path)

    def pods(self) -> list[Object]:
        found = self.plane.kube.items(f"/api/v1/namespaces/{self.namespace}/pods")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def ready(self, *models: TrainedModel) -> list[Object]:
        """Ready pods, of exactly these adapters where some are given."""
        digests = ",".join(model.digest for model in models)
        pods = [pod for pod in self.pods() if _is_ready(pod)]
        return [pod for pod in pods if not models or _annotations(pod)[names.DIGESTS_ANNOTATION] == digests]

    def await_ready(self, count: int, *models: TrainedModel) -> list[Object]:
        """Wait until so many pods serve these adapters, and no others are there."""
        wait_for(f"{count} pods of {models}", lambda: len(self.pods()) == len(self.ready(*models)) == count)
        return self.ready(*models)

    def pending(self) -> list[str]:
        """Why pods have no node."""
        return [
            str(each.get("message"))
            for pod in self.pods()
            for each in pod["status"].get("conditions") or []
            if each["type"] == "PodScheduled" and each["status"] == "False"
        ]

    def remove(self) -> None:
        """The pods, and wait for their end: the GPUs are free again."""
        free_gpus(self.plane, self.namespace)


def free_gpus(plane: ControlPlane, *namespaces: str) -> None:
    """End all Deployments of these namespaces. The namespaces stay: their end takes a controller five seconds."""
    for namespace in namespaces:
        plane.kube.call(
            "DELETE", f"/apis/apps/v1/namespaces/{namespace}/deployments", {"propagationPolicy": "Foreground"}
        )
    for path in (f"/api/v1/namespaces/{namespace}/pods" for namespace in namespaces):
        wait_for(f"the end of {path}", lambda path=path: not plane.kube.items(path))


def require_kinds(plane: ControlPlane, *versions: str) -> None:
    """Skip where the control plane lacks a definition: KEDA's come with its Go module, others from shared/crds."""
    for version in versions:
        if "." in version.partition("/")[0] and plane.kube.get(f"/apis/{version}") is None:
            pytest.skip(f"no definition of {version} here: the folder shared/crds has it, and is not beside this clone")


def live(plane: ControlPlane, *models: TrainedModel, replicas: int = 2) -> Live:
    """Two replicas, one GPU each: the whole cluster."""
    given = replace(GIVEN["minimal"], replicas=(replicas, replicas), **({"models": models} if models else {}))
    return Live(plane, given.serving())


def quick(found: Sequence[Object], strategy: Mapping[str, Any]) -> list[Object]:
    """The builders' manifests; a pod counts as available after one second and not ten, so that tests wait less."""
    for manifest in found:
        if manifest["kind"] == "Deployment":
            manifest["spec"] |= {"minReadySeconds": 1}
            if strategy:
                manifest["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": dict(strategy)}
    return list(found)


def _annotations(pod: Object) -> Mapping[str, str]:
    return pod["metadata"].get("annotations") or {}


def _is_ready(pod: Object) -> bool:
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions") or []}
    return conditions.get("Ready") == "True"
