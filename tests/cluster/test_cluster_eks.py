"""What EKS adds, taken by a real API server: pods and Ingress, and Karpenter's objects by its own rules."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cluster_ground import require_kinds
from control_plane import ControlPlane
from fakes.eks_stacks import FULL, MINIMAL, ON_SHARED, S3, hosting_args, serve_run, spec
from kube_http import Answered

from components.eks.vllm import eks_options, serving_on_eks
from takeover.kubernetes import manifests

pytestmark = pytest.mark.cluster

# Karpenter's definitions come with its Go modules, at the version of the chart (components/eks/addons.py).
MODULES = ("sigs.k8s.io/karpenter@v1.14.0", "github.com/aws/karpenter-provider-aws@v1.14.1")
FILES = ("karpenter.sh_nodepools.yaml", "karpenter.k8s.aws_ec2nodeclasses.yaml")
SUBNETS = [{"id": "subnet-0a1b"}, {"id": "subnet-0c2d"}]
STACKS: Mapping[str, Mapping[str, Any]] = {
    "minimal": MINIMAL,
    "full": FULL,
    "shared": ON_SHARED,
    "karpenter": {**MINIMAL, "autoscaler": "karpenter"},
    "karpenter on Bottlerocket": {
        **MINIMAL,
        "autoscaler": "karpenter",
        "ami": "bottlerocket",
        "amiVersion": "1.53.0",
        "fastImagePull": True,
    },
}


def definitions(folder: Path) -> list[Path]:
    go = shutil.which("go")
    assert go is not None, "the control plane is built with go"
    done = subprocess.run(
        [go, "mod", "download", "-json", *MODULES], cwd=folder, capture_output=True, timeout=120, check=True
    )
    text, decoder, found = done.stdout.decode(), json.JSONDecoder(), list[Path]()
    while text.strip():
        module, end = decoder.raw_decode(text.lstrip())
        found += [file for name in FILES if (file := Path(module["Dir"]) / "pkg/apis/crds" / name).exists()]
        text = text.lstrip()[end:]
    return found


@pytest.fixture(scope="module")
def ground(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The control plane with Karpenter's definitions and the endpoint's namespace."""
    plane.install_definitions(definitions(tmp_path_factory.mktemp("modules")))
    name = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": spec().name}}
    plane.kube.apply(name)
    yield plane
    plane.kube.delete(f"/api/v1/namespaces/{spec().name}")


@pytest.mark.parametrize("name", STACKS)
def test_pods_and_ingress_are_taken_with_strict_validation(ground: ControlPlane, name: str) -> None:
    args = hosting_args(STACKS[name], S3, {"monitoring": "prometheus-operator"}, protect=True)
    written = manifests(serving_on_eks(args, eks_options(args)))
    require_kinds(ground, *(manifest["apiVersion"] for manifest in written))
    taken = [ground.kube.apply(manifest, dry_run=True) for manifest in written]
    assert [each["kind"] for each in taken] == [manifest["kind"] for manifest in written]


def custom(name: str, kind: str) -> dict[str, Any]:
    """What the stack would send, with subnets as AWS names them."""
    (found,) = [each for each in serve_run(STACKS[name]).made if each.type.endswith(f":{kind}")]
    spec_ = dict(found.inputs["spec"])
    return {**found.inputs, "spec": {**spec_, "subnetSelectorTerms": SUBNETS} if kind == "EC2NodeClass" else spec_}


def apply(ground: ControlPlane, manifest: Mapping[str, Any]) -> dict[str, Any]:
    plural = f"{manifest['kind'].lower()}{'es' if manifest['kind'].endswith('s') else 's'}"
    path = f"/apis/{manifest['apiVersion']}/{plural}/{manifest['metadata']['name']}"
    query = {"fieldManager": "test", "fieldValidation": "Strict", "force": "true", "dryRun": "All"}
    return ground.kube.call("PATCH", path, manifest, content="application/apply-patch+yaml", **query)


@pytest.mark.parametrize("kind", ["NodePool", "EC2NodeClass"])
@pytest.mark.parametrize("name", [name for name in STACKS if "karpenter" in name])
def test_karpenter_s_own_rules_take_its_objects(ground: ControlPlane, name: str, kind: str) -> None:
    assert apply(ground, custom(name, kind))["kind"] == kind


def test_karpenter_s_own_rules_refuse_what_is_wrong(ground: ControlPlane) -> None:
    node_class, pool = custom("karpenter", "EC2NodeClass"), custom("karpenter", "NodePool")
    node_class["spec"]["role"] = "beside-the-profile"
    pool["spec"]["template"]["spec"]["expireAfter"] = "never"
    for wrong in (node_class, pool):
        with pytest.raises(Answered) as caught:
            apply(ground, wrong)
        assert caught.value.status == 422
