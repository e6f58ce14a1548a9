"""`takeover:eks`: what is right, and every mistake under its key, all at once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from takeover.errors import Refusals, Refused
from takeover.settings._eks import EksOptions
from takeover.settings._eks_cluster import cluster_options
from takeover.settings._eks_mistakes import eks_mistakes, zones_of
from takeover.settings._kubernetes import KubernetesOptions
from takeover.settings._messages import validate
from takeover.settings._models import Hosting

HOSTING: dict[str, Any] = {
    "environment": "production",
    "provider": "dedicated-vllm",
    "cluster": "eks",
    "coldStartTolerance": "none",
    "minReplicas": 1,
    "maxReplicas": 2,
}
CERTIFICATE = "arn:aws:acm:eu-central-1:123456789012:certificate/0a1b"
RIGHT: dict[str, Any] = {
    "region": "eu-central-1",
    "zones": ["eu-central-1a", "eu-central-1b"],
    "instanceType": "g6e.2xlarge",
    "hostname": "llm.example.org",
    "certificateArn": CERTIFICATE,
}
GIVEN: dict[str, Any] = {
    "vpcId": "vpc-0a",
    "cidr": "10.0.0.0/16",
    "privateSubnets": {"subnet-0a": "eu-central-1a", "subnet-0b": "eu-central-1b"},
}
SHARED: dict[str, Any] = {
    "clusterStack": "organization/takeover/cluster",
    "inboundCidrs": ["10.0.0.0/8"],
    "vpc": {"cidr": "10.64.0.0/16"},
}
CLUSTER: dict[str, Any] = {"role": "cluster", "region": "eu-central-1", "zones": ["eu-central-1a", "eu-central-1b"]}


def found(said: dict[str, Any], hosting: dict[str, Any] | None = None) -> list[Refused]:
    options, wrong = validate(EksOptions, "eks", said)
    if options is None:
        return list(wrong)
    return list(eks_mistakes(options, Hosting.model_validate({**HOSTING, **(hosting or {})})))


RIGHT_ONES = {
    "a VPC of its own": RIGHT,
    "a given VPC": {
        **{key: value for key, value in RIGHT.items() if key != "zones"},
        "vpc": GIVEN,
        "inboundCidrs": ["10.0.0.0/8"],
    },
    "a shared cluster": {**RIGHT, **SHARED},
    "karpenter and Bottlerocket": {**RIGHT, "autoscaler": "karpenter", "ami": "bottlerocket"},
    "everyone, asked for": {**RIGHT, "scheme": "internet-facing", "inboundCidrs": ["0.0.0.0/0"]},
    "inside the cluster only": {
        **{key: RIGHT[key] for key in ("region", "zones", "instanceType")},
        "scheme": "none",
    },
}


@pytest.mark.parametrize("said", RIGHT_ONES.values(), ids=RIGHT_ONES.keys())
def test_right(said: dict[str, Any]) -> None:
    assert found(said) == []


@dataclass(frozen=True)
class Case:
    says: str
    change: dict[str, Any]
    key: str
    part: str
    hosting: dict[str, Any] = field(default_factory=dict)


CASES = (
    Case("protect at the wrong place", {"protect": False}, "protect", "Write it as takeover:hosting.protect."),
    Case("no GPU", {"instanceType": "m7i.large"}, "instanceType", "no instance type with a known GPU"),
    Case("no such size", {"instanceType": "g6e.3xlarge"}, "instanceType", "g6e.4xlarge"),
    Case("SageMaker's name", {"instanceType": "ml.g6e.2xlarge"}, "instanceType", "Write g6e.2xlarge."),
    Case("no instance type", {"instanceType": None}, "instanceType", "is missing"),
    Case("no region", {"region": "Frankfurt"}, "region", "eu-central-1"),
    Case("China", {"region": "cn-north-1"}, "region", "commercial"),
    Case("one zone", {"zones": ["eu-central-1a"]}, "zones", "one zone only, eu-central-1a"),
    Case("a zone twice", {"zones": ["eu-central-1a", "eu-central-1b", "eu-central-1a"]}, "zones[2]", "named already"),
    Case("a zone elsewhere", {"zones": ["eu-central-1a", "us-east-1b"]}, "zones[1]", "the region is eu-central-1"),
    Case(
        "a certificate elsewhere",
        {"certificateArn": CERTIFICATE.replace("eu-central-1", "us-east-1")},
        "certificateArn",
        "is in us-east-1, but the region is eu-central-1",
    ),
    Case("no certificate", {"certificateArn": None}, "certificateArn", "TLS only"),
    Case("no ARN", {"certificateArn": "0a1b"}, "certificateArn", "must be the ARN of a acm certificate"),
    Case("a key elsewhere", {"kmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/0a"}, "kmsKeyArn", "us-east-1"),
    Case(
        "a bucket's key elsewhere",
        {"adapterKeyArn": "arn:aws:kms:us-east-1:123456789012:key/0a"},
        "adapterKeyArn",
        "us-east-1",
    ),
    Case("an alias", {"kmsKeyArn": "alias/mine"}, "kmsKeyArn", "must be the ARN of a kms key"),
    Case("no hostname", {"hostname": None}, "hostname", "a certificate is for a name"),
    Case("an address as hostname", {"hostname": "https://x.org"}, "hostname", "must be a host's name"),
    Case("open to everyone by silence", {"scheme": "internet-facing"}, "inboundCidrs", "open to everyone"),
    Case("no network", {"inboundCidrs": ["10.0.0.1/8"]}, "inboundCidrs[0]", "must be an IPv4 network"),
    Case("a hostname that nothing answers", {"scheme": "none", "certificateArn": None}, "hostname", "scheme is none"),
    Case("spot in production", {"capacityType": "SPOT"}, "capacityType", "two minutes' notice"),
    Case("Karpenter's name of an image", {"amiVersion": "v20260723"}, "amiVersion", "looks like 1.35.2-20260723"),
    Case("min over max", {"nodes": {"min": 3, "max": 2}}, "nodes.min", "max is 2"),
    Case("nothing adds nodes", {"autoscaler": "none"}, "nodes.max", "nothing adds nodes"),
    Case("fewer GPUs than replicas", {}, "nodes.max", "2 GPUs", {"maxReplicas": 3}),
    Case("a disk that cannot", {"disk": {"throughput": 1000}}, "disk.throughput", "4000 or more"),
    Case("more iops than the size has", {"disk": {"sizeGib": 50, "iops": 30000}}, "disk.iops", "25000 at most"),
    Case("fast pulls on a slow disk", {"fastImagePull": True, "disk": {"throughput": 125}}, "fastImagePull", "slower"),
    Case("a small disk", {"disk": {"sizeGib": 20}}, "disk.sizeGib", "at least 50"),
    Case("a version as a number", {"kubernetesVersion": 1.35}, "kubernetesVersion", "1.34, 1.35 or 1.36"),
    Case("a key of nodes that is none", {"nodes": {"maximum": 3}}, "nodes.maximum", "The keys are min, max."),
    Case("no principal", {"accessEntries": [{"policy": "view"}]}, "accessEntries[0].principal", "must be the ARN"),
    Case(
        "a shared cluster's version",
        {**SHARED, "kubernetesVersion": "1.35"},
        "kubernetesVersion",
        "is made by organization/takeover/cluster",
    ),
    Case("half a stack's name", {**SHARED, "clusterStack": "cluster"}, "clusterStack", "organization/project/stack"),
    Case("a public network", {"vpc": {"cidr": "8.8.0.0/16"}}, "vpc.cidr", "public network"),
    Case("a small network", {"vpc": {"cidr": "10.0.0.0/24"}}, "vpc.cidr", "/16 to /20"),
    Case(
        "subnets without their VPC",
        {"vpc": {"privateSubnets": GIVEN["privateSubnets"]}},
        "vpc.privateSubnets",
        "vpcId is not",
    ),
    Case("zones of given subnets", {"vpc": GIVEN, "inboundCidrs": ["10.0.0.0/8"]}, "zones", "have their zones"),
    Case(
        "a shared cluster's NAT",
        {**SHARED, "vpc": {"cidr": "10.0.0.0/16", "natPerZone": True}},
        "vpc.natPerZone",
        "Set it there",
    ),
    Case("a shared cluster's unknown network", {**SHARED, "vpc": {}}, "vpc.cidr", "is missing"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_one_mistake_one_sentence(case: Case) -> None:
    (mistake,) = found({**RIGHT, **case.change}, case.hosting)
    assert mistake.where == f"takeover:eks.{case.key}"
    assert case.part in str(mistake)
    assert mistake.fix or mistake.why or "must be" in mistake.happened


def test_given_subnets_in_one_zone_only_are_refused_with_all_else() -> None:
    said = {
        "region": "eu-central-1",
        "vpc": {"vpcId": "vpc-1", "privateSubnets": {"subnet-1": "eu-central-1a", "subnet-2": "eu-central-1a"}},
        "instanceType": "t3.large",
        "scheme": "internet-facing",
        "capacityType": "SPOT",
    }
    assert [mistake.where for mistake in found(said)] == [
        "takeover:eks.vpc.cidr",
        "takeover:eks.vpc.privateSubnets",
        "takeover:eks.vpc.publicSubnets",
        "takeover:eks.instanceType",
        "takeover:eks.capacityType",
        "takeover:eks.hostname",
        "takeover:eks.certificateArn",
        "takeover:eks.inboundCidrs",
    ]


def test_zones_of_given_subnets() -> None:
    options = EksOptions.model_validate({"region": "eu-central-1", "vpc": GIVEN})
    assert zones_of(options) == ("eu-central-1a", "eu-central-1b")


def test_a_stack_that_makes_the_cluster_alone() -> None:
    assert cluster_options({"eks": json.dumps(CLUSTER)}, stack="cluster") == EksOptions.model_validate(CLUSTER)
    assert cluster_options({"eks": json.dumps(RIGHT), "hosting": "{}"}, stack="prod") is None
    assert cluster_options({"hosting": "{}"}, stack="dev") is None


def test_a_cluster_that_should_serve_too() -> None:
    said = {**CLUSTER, "instanceType": "g6e.2xlarge", "hostname": "x.example.org"}
    with pytest.raises(Refusals) as caught:
        cluster_options({"eks": json.dumps(said), "hosting": "{}", "adapter": "{}"}, stack="cluster")
    assert [mistake.where for mistake in caught.value.mistakes] == [
        "takeover:hosting",
        "takeover:adapter",
        "takeover:eks.hostname",
        "takeover:eks.instanceType",
    ]


@dataclass(frozen=True)
class Pods:
    says: str
    change: dict[str, Any]
    where: str | None
    eks: dict[str, Any] = field(default_factory=dict)


STORE = {"store": "aws", "apiKey": "llm"}
PODS = (
    Pods("pods that fit", {}, None),
    Pods("what pods need, installed by itself", {}, None, {"install": None}),
    Pods(
        "KEDA, which nobody installs",
        {"monitoring": "none"},
        "takeover:eks.install",
        {"install": ["kube-prometheus-stack"]},
    ),
    Pods("monitors, which nobody reads", {"scaler": "none"}, "takeover:eks.install", {"install": ["keda"]}),
    Pods("nothing to install", {"scaler": "none", "monitoring": "none"}, None, {"install": []}),
    Pods("all of it on a shared cluster", {"externalSecret": STORE}, None, {**SHARED, "install": None}),
    Pods("a store that the new cluster has not", {"externalSecret": STORE}, "takeover:kubernetes.externalSecret"),
    Pods("replicas of two pods on a new cluster", {"nodes": 2}, "takeover:kubernetes.nodes"),
    Pods("another GPU", {"gpu": "H100"}, "takeover:kubernetes.gpu"),
    Pods("more GPUs than the machine has", {"gpus": 2}, "takeover:kubernetes.gpus"),
    Pods("all of its cores", {"cpus": 8}, "takeover:kubernetes.cpus"),
    Pods("all of its memory", {"memoryGib": 64}, "takeover:kubernetes.memoryGib"),
    Pods("a cache larger than the disk", {"cacheGib": 190}, "takeover:kubernetes.cacheGib"),
)


@pytest.mark.parametrize("case", PODS, ids=lambda case: case.says)
def test_pods_on_these_machines(case: Pods) -> None:
    said = {**RIGHT, "install": ["keda", "kube-prometheus-stack"], **case.eks}
    options = EksOptions.model_validate({key: value for key, value in said.items() if value is not None})
    pods = KubernetesOptions.model_validate(case.change)
    mistakes = list(eks_mistakes(options, Hosting.model_validate(HOSTING), pods))
    assert [mistake.where for mistake in mistakes] == [each for each in (case.where,) if each]
