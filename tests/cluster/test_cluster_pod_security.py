"""The profile `restricted` of Kubernetes' own admission lets in every pod that the manifests make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cluster_ground import GIVEN, NAME
from control_plane import ControlPlane
from kube_http import Answered

from takeover.kubernetes import manifests

pytestmark = pytest.mark.cluster
PODS = "/api/v1/namespaces/restricted/pods"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def pods(name: str) -> Iterator[dict[str, Any]]:
    """One pod of each template, which no node takes."""
    for each in manifests(GIVEN[name].serving()):
        group = each.get("spec", {}).get("leaderWorkerTemplate", {})
        for role, template in {"pod": each.get("spec", {}).get("template"), **group}.items():
            if isinstance(template, dict):
                found = {**template["spec"], "nodeSelector": {"nobody": "here"}}
                for key in ("serviceAccountName", "priorityClassName"):
                    found.pop(key, None)
                called = {"name": f"{each['metadata']['name'].removeprefix(NAME)}-{role}".strip("-").lower()}
                metadata = {**called, "namespace": "restricted"}
                yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": found}


@pytest.fixture(scope="module")
def restricted(plane: ControlPlane) -> ControlPlane:
    """With a namespace for what is only tried: nothing is made in it."""
    metadata = {"name": "restricted", "labels": RESTRICTED}
    plane.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    return plane


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_every_pod_is_let_in(restricted: ControlPlane, name: str) -> None:
    found = list(pods(name))
    taken = [restricted.kube.call("POST", PODS, pod, dryRun="All") for pod in found]
    assert [each["metadata"]["name"] for each in taken] == [pod["metadata"]["name"] for pod in found]


def test_a_pod_that_may_be_root_is_not(restricted: ControlPlane) -> None:
    pod = next(pods("minimal"))
    pod["spec"]["securityContext"]["runAsNonRoot"] = False
    with pytest.raises(Answered, match="violates PodSecurity"):
        restricted.kube.call("POST", PODS, pod, dryRun="All")
