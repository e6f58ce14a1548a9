"""Programs of EKS stacks for tests, and what AWS adds to their resources."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

import pulumi
from fakes.pulumi_recorder import Recorded, Run, record

from components.eks.program import make_cluster
from components.eks.vllm import EksVllm
from components.hosting import HostingArgs
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.settings._eks import EksOptions
from takeover.settings._kubernetes import KubernetesOptions
from takeover.settings._models import Hosting
from takeover.settings._settings import Settings
from takeover.tiers import tier

Outputs = Mapping[str, Callable[[str, Mapping[str, Any]], Mapping[str, Any]]]

KEY = "a-key-of-the-test-s-own-0123456789"
BASE = "hub:Qwen/Qwen3-8B@" + "b" * 40
CERTIFICATE = "arn:aws:acm:eu-central-1:123456789012:certificate/0a1b"
ZONES = ["eu-central-1a", "eu-central-1b"]
# The least that a stack says which makes all it needs.
MINIMAL: Mapping[str, Any] = {
    "region": "eu-central-1",
    "zones": ZONES,
    "instanceType": "g6e.2xlarge",
    "hostname": "llm.example.org",
    "certificateArn": CERTIFICATE,
}
# What a cluster stack exports, once it is there.
SHARED: Mapping[str, Any] = {
    "schemaVersion": 1,
    "name": "shared",
    "version": "1.35",
    "region": "eu-central-1",
    "cidr": "10.64.0.0/16",
    "endpoint": "https://shared.eks.example",
    "certificateAuthority": "Q0E=",
    "vpcId": "vpc-shared",
    "securityGroup": "sg-shared",
    "privateSubnets": {"eu-central-1a": ["subnet-a"], "eu-central-1b": ["subnet-b"]},
    "publicSubnets": ["subnet-pa", "subnet-pb"],
    "nodeRole": "arn:aws:iam::123456789012:role/shared-node",
    "instanceProfile": "shared-node",
    "autoscaler": "cluster-autoscaler",
    "ami": "al2023",
}


def model(source: str = "hf://acme/tone@" + "c" * 40, *, name: str = "tone", mark: str = "a") -> TrainedModel:
    return TrainedModel(
        name=name,
        digest="sha256:" + mark * 64,
        served_name=f"{name}@{mark * 12}",
        path="/somewhere",
        base=BASE,
        rank=16,
        source=source,
    )


def spec(**changes: Any) -> EndpointSpec:
    labels = {"managed-by": "takeover", "project": "takeover", "stack": "prod", "tier": "dedicated-vllm"}
    given = {"name": "takeover-prod-0a1b2c3d", "base": BASE, "min_replicas": 1, "max_replicas": 2, "labels": labels}
    return EndpointSpec(**{**given, **changes})


def outputs(shared: Mapping[str, Any] | None = SHARED) -> Outputs:
    """What AWS fills in: addresses, ids of what EKS makes beside, and the other stack's outputs."""
    return {
        "aws:eks/cluster:Cluster": lambda name, inputs: {
            "endpoint": f"https://{name}.eks.example",
            "certificateAuthority": {"data": "Q0E="},
            "vpcConfig": {**inputs["vpcConfig"], "clusterSecurityGroupId": "sg-cluster", "vpcId": "vpc"},
        },
        "aws:eks/nodeGroup:NodeGroup": lambda name, _: {
            "resources": [{"autoscalingGroups": [{"name": f"eks-{name}"}], "remoteAccessSecurityGroupId": ""}]
        },
        "aws:ec2/eip:Eip": lambda name, _: {"allocationId": f"eipalloc-{name}"},
        "aws:ec2/launchTemplate:LaunchTemplate": lambda _name, _inputs: {"latestVersion": 1},
        "aws:kms/key:Key": lambda name, _: {"keyId": f"key-{name}"},
        "aws:sqs/queue:Queue": lambda name, _: {"url": f"https://sqs.example/{name}"},
        "aws:iam/role:Role": lambda name, _: {"name": f"{name}-made"},
        "aws:iam/instanceProfile:InstanceProfile": lambda name, _: {"name": f"{name}-made"},
        "kubernetes:networking.k8s.io/v1:Ingress": lambda _name, _inputs: {
            "status": {"loadBalancer": {"ingress": [{"hostname": "k8s-x.elb.amazonaws.com"}]}}
        },
        "pulumi:pulumi:StackReference": lambda name, _: {
            "name": name,
            "outputs": {"cluster": shared} if shared else {},
        },
    }


def cluster_run(said: Mapping[str, Any]) -> Run:
    """A stack that makes a cluster alone; it is called as the others are, so that snapshots can be compared."""
    options = EksOptions.model_validate({"role": "cluster", "region": "eu-central-1", **said})
    return record(lambda: make_cluster(options), stack="prod", outputs=outputs())


def hosting_args(
    said: Mapping[str, Any], models: Sequence[TrainedModel], pods: Mapping[str, Any], *, protect: bool
) -> HostingArgs:
    options = KubernetesOptions.model_validate({"scaler": "none", "monitoring": "none", **pods})
    hosting = Hosting(
        environment="production",
        provider="dedicated-vllm",
        cluster="eks",
        coldStartTolerance="none",
        minReplicas=1,
        maxReplicas=2,
    )
    settings = Settings(
        stack="prod",
        hosting=hosting,
        adapter_sources=(),
        kubernetes=options,
        eks=EksOptions.model_validate(said),
    )
    asked = spec(options=options.model_dump(mode="json", exclude_none=True))
    return HostingArgs(tier("dedicated-vllm", "eks"), tuple(models), asked, protect, settings)


def serve_run(
    said: Mapping[str, Any],
    *,
    models: Sequence[TrainedModel] = (model(),),
    pods: Mapping[str, Any] = MappingProxyType({}),
    shared: Mapping[str, Any] | None = SHARED,
    protect: bool = True,
    preview: bool = False,
) -> Run:
    """A stack that serves."""
    args = hosting_args(said, models, pods, protect=protect)

    def program() -> None:
        hosting = EksVllm("hosting", args)
        pulumi.export("url", hosting.url)

    with patch.dict(os.environ, {"TAKEOVER_API_KEY": KEY}):
        return record(program, stack="prod", outputs=outputs(shared), preview=preview)


def in_brief(made: Sequence[Recorded]) -> list[Recorded]:
    """The pods' own objects without what is in them: tests/kubernetes has that. The Ingress is EKS's affair too."""
    return [replace(each, inputs={}, timeouts={}) if _is_plain(each) else each for each in made]


def _is_plain(each: Recorded) -> bool:
    plain = ("core/", "apps/", "policy/", "networking.k8s.io/v1:NetworkPolicy", "rbac.", "autoscaling/")
    return each.type.startswith("kubernetes:") and each.type.removeprefix("kubernetes:").startswith(plain)


WITHOUT_ZONES = {key: value for key, value in MINIMAL.items() if key != "zones"}
KMS_KEY = "arn:aws:kms:eu-central-1:123456789012:key/0a"

FULL: Mapping[str, Any] = {
    **MINIMAL,
    "zones": [*MINIMAL["zones"], "eu-central-1c"],
    "nodes": {"min": 2, "max": 6},
    "disk": {"sizeGib": 500, "throughput": 1000, "iops": 4000},
    "amiVersion": "1.36.1-20260723",
    "hostedZoneId": "Z0123456789",
    "fastImagePull": True,
    "scheme": "internet-facing",
    "inboundCidrs": ["203.0.113.0/24", "198.51.100.7/32"],
    "kubernetesVersion": "1.36",
    "support": "standard",
    "vpc": {"cidr": "172.20.0.0/18", "natPerZone": False, "ecrEndpoints": False},
    "systemInstanceType": "m7i.xlarge",
    "systemNodes": 3,
    "apiPublicCidrs": ["203.0.113.0/24"],
    "accessEntries": [
        {"principal": "arn:aws:iam::123456789012:role/platform", "policy": "cluster-admin"},
        {"principal": "arn:aws:iam::123456789012:role/team", "policy": "edit", "namespaces": ["team"]},
    ],
    "logs": {"types": ["audit", "authenticator"], "retentionDays": 365},
    "kmsKeyArn": KMS_KEY,
    "ebsVolumes": True,
    "install": ["keda", "kube-prometheus-stack"],
}
GIVEN: Mapping[str, Any] = {
    **WITHOUT_ZONES,
    "inboundCidrs": ["10.0.0.0/8"],
    "vpc": {
        "vpcId": "vpc-0a",
        "cidr": "10.20.0.0/16",
        "privateSubnets": {"subnet-0a": "eu-central-1a", "subnet-0b": "eu-central-1b", "subnet-0c": "eu-central-1b"},
    },
}
ON_SHARED: Mapping[str, Any] = {
    **MINIMAL,
    "clusterStack": "organization/takeover/cluster",
    "vpc": {"cidr": "10.64.0.0/16"},
    "inboundCidrs": ["10.0.0.0/8"],
}
S3 = (
    model("s3://weights/adapters/tone@sha256:" + "a" * 64),
    model("s3://weights/adapters/other@sha256:" + "d" * 64, name="other", mark="d"),
    model("hf://acme/third@" + "e" * 40, name="third", mark="f"),
)


@cache
def run_of(name: str) -> Run:
    runs = {
        "minimal": lambda: serve_run(MINIMAL),
        "full": lambda: serve_run(FULL, models=S3),
        "given": lambda: serve_run(GIVEN, protect=False),
        "shared": lambda: serve_run(ON_SHARED, models=S3),
        "bottlerocket": lambda: serve_run({**MINIMAL, "ami": "bottlerocket", "fastImagePull": True}),
        "karpenter": lambda: serve_run({**MINIMAL, "autoscaler": "karpenter"}),
        "no-autoscaler": lambda: serve_run({**MINIMAL, "autoscaler": "none", "nodes": {"min": 3, "max": 3}}),
        "cluster": lambda: cluster_run({"zones": MINIMAL["zones"]}),
    }
    return runs[name]()


NAMES = ("minimal", "full", "given", "shared", "bottlerocket", "karpenter", "no-autoscaler", "cluster")
WITH_CLUSTER = tuple(name for name in NAMES if name != "shared")
