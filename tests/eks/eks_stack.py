"""Programs of EKS stacks for tests, and what AWS adds to their resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pulumi
from fakes.pulumi_recorder import Run, record

from components.eks.place import make_place, place_sentences
from components.eks.program import make_cluster
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.settings._eks import EksOptions

Outputs = Mapping[str, Callable[[str, Mapping[str, Any]], Mapping[str, Any]]]

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


def outputs(shared: Mapping[str, Any] = SHARED) -> Outputs:
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
        "pulumi:pulumi:StackReference": lambda name, _: {"name": name, "outputs": {"cluster": dict(shared)}},
    }


def cluster_run(said: Mapping[str, Any]) -> Run:
    """A stack that makes a cluster alone; it is called as the others are, so that snapshots can be compared."""
    options = EksOptions.model_validate({"role": "cluster", "region": "eu-central-1", **said})
    return record(lambda: make_cluster(options), stack="prod", outputs=outputs())


def place_run(
    said: Mapping[str, Any],
    *,
    models: Sequence[TrainedModel] = (model(),),
    shared: Mapping[str, Any] = SHARED,
    protect: bool = True,
    preview: bool = False,
) -> Run:
    """All of a stack that serves, except the pods."""
    options = EksOptions.model_validate(said)

    def program() -> None:
        parent = pulumi.ComponentResource("takeover:hosting:EksVllm", "hosting")
        for sentence in place_sentences(spec(), options):
            pulumi.log.info(sentence)
        make_place(
            spec(),
            models,
            options,
            namespace=spec().name,
            service_account=spec().name,
            protect=protect,
            parent=parent,
        )

    return record(program, stack="prod", outputs=outputs(shared), preview=preview)
