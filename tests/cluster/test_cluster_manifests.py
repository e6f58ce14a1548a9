"""Every manifest of every endpoint, taken by a real API server with strict validation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cluster_ground import GIVEN, NAME, free_gpus, require_kinds
from control_plane import ControlPlane
from kube_http import Answered

from takeover.kubernetes import manifests
from takeover.providers._kube_api import KINDS

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def shared(plane: ControlPlane) -> Iterator[ControlPlane]:
    """The control plane with the namespaces that some stacks say exist; no pod is left afterwards."""
    for name in ("llm", "gateways", NAME):
        plane.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield plane
    free_gpus(plane, "llm", NAME)


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_every_manifest_is_taken_with_strict_validation(shared: ControlPlane, name: str) -> None:
    written = manifests(GIVEN[name].serving())
    require_kinds(shared, *(each["apiVersion"] for each in written))
    taken = [shared.kube.apply(manifest, manager="takeover") for manifest in written]
    assert [each["kind"] for each in taken] == [manifest["kind"] for manifest in written]


def test_what_was_written_twice_is_written_once(shared: ControlPlane) -> None:
    written = manifests(GIVEN["full"].serving())
    require_kinds(shared, *(each["apiVersion"] for each in written))
    first = [shared.kube.apply(manifest, manager="takeover")["metadata"] for manifest in written]
    second = [shared.kube.apply(manifest, manager="takeover")["metadata"] for manifest in written]
    assert [each.get("generation") for each in second] == [each.get("generation") for each in first]


def test_a_field_that_the_schema_lacks_is_refused(shared: ControlPlane) -> None:
    (deployment,) = [each for each in manifests(GIVEN["minimal"].serving()) if each["kind"] == "Deployment"]
    deployment["metadata"]["namespace"] = "llm"
    deployment["spec"]["template"]["spec"]["terminationGracePeriod"] = 30
    with pytest.raises(Answered, match="terminationGracePeriod: field not declared in schema"):
        shared.kube.apply(deployment)


def test_the_provider_knows_every_kind_that_is_written() -> None:
    written = {(each["kind"], each["apiVersion"]) for given in GIVEN.values() for each in manifests(given.serving())}
    assert written - {(kind, version) for kind, (version, _) in KINDS.items()} == set()
