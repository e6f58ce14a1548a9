"""Every role of a cluster against the calls that are made with it: nothing missing, nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from aws_policies import Call, refused, unknown_actions, unneeded
from botocore.loaders import Loader

from takeover.aws.eks_policies import (
    adapter_reader,
    cluster_autoscaler,
    flow_logs,
    interruption_queue,
    load_balancer_controller,
)
from takeover.aws.karpenter_policy import karpenter_controller
from takeover.aws.policies import trust_pods

REGION, CLUSTER = "eu-central-1", "takeover-prod"
NODE_ROLE = "arn:aws:iam::123456789012:role/node"
QUEUE = "arn:aws:sqs:eu-central-1:123456789012:takeover-prod-interruptions"
LOGS = "arn:aws:logs:eu-central-1:123456789012:log-group:/takeover/takeover-prod/flow"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/0a"
EC2 = "arn:aws:ec2:eu-central-1:123456789012"
AUTOSCALING = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:uuid:autoScalingGroupName/eks-gpu"


def calls(actions: str, resource: str = "*", **context: Any) -> list[Call]:
    return [Call(action, resource, context) for action in actions.split()]


def tags(whose: str, cluster: str = CLUSTER) -> dict[str, str]:
    return {
        f"aws:{whose}Tag/kubernetes.io/cluster/{cluster}": "owned",
        f"aws:{whose}Tag/eks:eks-cluster-name": cluster,
        f"aws:{whose}Tag/karpenter.sh/nodepool": "takeover-prod",
    }


# What the cluster autoscaler's AWS provider calls (auto_scaling.go, ec2.go, eks.go of cluster-autoscaler 1.35).
AUTOSCALER_CALLS = [
    *calls(
        "autoscaling:DescribeAutoScalingGroups autoscaling:DescribeAutoScalingInstances autoscaling:DescribeTags "
        "autoscaling:DescribeScalingActivities ec2:DescribeImages ec2:DescribeInstanceTypes "
        "ec2:DescribeLaunchTemplateVersions ec2:GetInstanceTypesFromInstanceRequirements"
    ),
    *calls("eks:DescribeNodegroup", "arn:aws:eks:eu-central-1:123456789012:nodegroup/takeover-prod/gpu/uuid"),
    *(
        Call(action, AUTOSCALING, {f"aws:ResourceTag/k8s.io/cluster-autoscaler/{CLUSTER}": "owned"})
        for action in ("autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup")
    ),
]


def launching(kinds: str, context: Mapping[str, Any], account: str = EC2) -> list[Call]:
    return [
        Call(action, f"{account}:{kind}/x-1", context)
        for kind in kinds.split()
        for action in ("ec2:RunInstances", "ec2:CreateFleet")
    ]


_MADE = "fleet instance volume network-interface launch-template spot-instances-request"
# What Karpenter 1.14 calls (its pkg/providers/*, and its template's statements, each at least once).
KARPENTER_CALLS = [
    *launching("security-group subnet capacity-reservation placement-group", {}),
    *launching("image snapshot", {}, "arn:aws:ec2:eu-central-1:"),
    *launching("launch-template", tags("Resource")),
    *launching(_MADE, tags("Request")),
    *(Call("ec2:CreateLaunchTemplate", f"{EC2}:{kind}/x-1", tags("Request")) for kind in _MADE.split()),
    *(
        Call("ec2:CreateTags", f"{EC2}:{kind}/x-1", {**tags("Request"), "ec2:CreateAction": made})
        for kind in _MADE.split()
        for made in ("RunInstances", "CreateFleet", "CreateLaunchTemplate")
    ),
    Call("ec2:CreateTags", f"{EC2}:instance/i-1", {**tags("Resource"), "aws:TagKeys": ("Name",)}),
    Call("ec2:TerminateInstances", f"{EC2}:instance/i-1", tags("Resource")),
    Call("ec2:TerminateInstances", f"{EC2}:launch-template/lt-1", tags("Resource")),
    Call("ec2:DeleteLaunchTemplate", f"{EC2}:launch-template/lt-1", tags("Resource")),
    Call("ec2:DeleteLaunchTemplate", f"{EC2}:instance/i-1", tags("Resource")),
    Call("iam:PassRole", NODE_ROLE, {"iam:PassedToService": "ec2.amazonaws.com"}),
    *calls("eks:DescribeCluster", "arn:aws:eks:eu-central-1:123456789012:cluster/takeover-prod"),
    *calls("sqs:DeleteMessage sqs:GetQueueUrl sqs:ReceiveMessage", QUEUE),
    *(
        Call(f"ec2:Describe{each}", "*", {"aws:RequestedRegion": REGION})
        for each in [
            "CapacityReservations",
            "Images",
            "InstanceStatus",
            "InstanceTypeOfferings",
            "InstanceTypes",
            "Instances",
            "LaunchTemplates",
            "PlacementGroups",
            "SecurityGroups",
            "SpotPriceHistory",
            "Subnets",
        ]
    ),
    *calls("ssm:GetParameter", "arn:aws:ssm:eu-central-1::parameter/aws/service/eks/optimized-ami/1.35/x"),
    *calls("pricing:GetProducts iam:ListInstanceProfiles"),
    *calls("iam:GetInstanceProfile", "arn:aws:iam::123456789012:instance-profile/node"),
]


@dataclass(frozen=True)
class Case:
    says: str
    document: Mapping[str, Any]
    calls: list[Call]


CASES = (
    Case("the cluster autoscaler", cluster_autoscaler(REGION, CLUSTER), AUTOSCALER_CALLS),
    Case(
        "karpenter",
        karpenter_controller(REGION, CLUSTER, node_role_arn=NODE_ROLE, queue_arn=QUEUE),
        KARPENTER_CALLS,
    ),
    Case(
        "pods that fetch two adapters of one bucket",
        adapter_reader(["weights/a/tone", "weights/a/other"], region=REGION),
        [
            *calls("s3:GetObject", "arn:aws:s3:::weights/a/tone/sha256:aa/adapter_config.json"),
            *calls("s3:GetObject", "arn:aws:s3:::weights/a/other/sha256:bb/adapter_model.safetensors"),
        ],
    ),
    Case(
        "pods that fetch from a bucket with a key of its own",
        adapter_reader(["weights/tone"], region=REGION, key_arn=KEY),
        [
            *calls("s3:GetObject", "arn:aws:s3:::weights/tone/sha256:aa/adapter_config.json"),
            Call("kms:Decrypt", KEY, {"kms:ViaService": "s3.eu-central-1.amazonaws.com"}),
        ],
    ),
    Case(
        "VPC flow logs",
        flow_logs(LOGS),
        [
            *calls("logs:CreateLogStream logs:DescribeLogStreams logs:PutLogEvents", LOGS),
            *calls("logs:CreateLogStream logs:DescribeLogStreams logs:PutLogEvents", f"{LOGS}:log-stream:eni-1"),
            *calls("logs:DescribeLogGroups"),
        ],
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_nothing_missing_and_nothing_more(case: Case) -> None:
    assert refused(case.document, case.calls) == []
    assert unneeded(case.document, case.calls) == []


# What must not be possible with these roles.
FORBIDDEN = (
    Case(
        "another cluster's group",
        cluster_autoscaler(REGION, CLUSTER),
        [Call("autoscaling:SetDesiredCapacity", AUTOSCALING, {"aws:ResourceTag/k8s.io/cluster-autoscaler/x": "owned"})],
    ),
    Case(
        "machines of others, other regions, other roles",
        karpenter_controller(REGION, CLUSTER, node_role_arn=NODE_ROLE, queue_arn=QUEUE),
        [
            Call("ec2:TerminateInstances", f"{EC2}:instance/i-1"),
            Call("ec2:TerminateInstances", f"{EC2}:instance/i-1", tags("Resource", "other")),
            Call("ec2:RunInstances", f"{EC2}:instance/i-1"),
            Call("ec2:DescribeInstances", "*", {"aws:RequestedRegion": "us-east-1"}),
            Call("ec2:CreateTags", f"{EC2}:instance/i-1", {**tags("Resource"), "aws:TagKeys": ("Name", "owner")}),
            Call("iam:PassRole", "arn:aws:iam::123456789012:role/admin", {"iam:PassedToService": "ec2.amazonaws.com"}),
            Call("iam:PassRole", NODE_ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}),
            Call("iam:CreateInstanceProfile", "arn:aws:iam::123456789012:instance-profile/x"),
        ],
    ),
    Case(
        "another adapter, a neighbour whose name begins alike, and writing",
        adapter_reader(["weights/a/tone"], region=REGION, key_arn=KEY),
        [
            Call("s3:GetObject", "arn:aws:s3:::weights/a/other/manifest.json"),
            Call("s3:GetObject", "arn:aws:s3:::weights/a/tone-2/manifest.json"),
            Call("kms:Decrypt", KEY),
            Call("s3:PutObject", "arn:aws:s3:::weights/a/tone/manifest.json"),
            Call("s3:ListBucket", "arn:aws:s3:::weights", {"s3:prefix": "a/tone/"}),
        ],
    ),
    Case(
        "load balancers and security groups of others",
        load_balancer_controller(),
        [
            Call("elasticloadbalancing:DeleteLoadBalancer", "arn:aws:elasticloadbalancing:r:1:loadbalancer/app/x/1"),
            Call("ec2:DeleteSecurityGroup", f"{EC2}:security-group/sg-1"),
            Call("iam:CreateServiceLinkedRole", "*", {"iam:AWSServiceName": "ecs.amazonaws.com"}),
        ],
    ),
)


@pytest.mark.parametrize("case", FORBIDDEN, ids=lambda case: case.says)
def test_out_of_reach(case: Case) -> None:
    assert refused(case.document, case.calls) == case.calls


# What an ALB Ingress with a certificate needs of the controller, from making it to taking it away.
OWN = {"aws:RequestTag/elbv2.k8s.aws/cluster": CLUSTER}
OURS = {"aws:ResourceTag/elbv2.k8s.aws/cluster": CLUSTER}
ELB = "arn:aws:elasticloadbalancing:eu-central-1:123456789012"
BALANCER, GROUP = f"{ELB}:loadbalancer/app/k8s/1", f"{ELB}:targetgroup/k8s/1"
INGRESS_CALLS = [
    *calls(
        "ec2:DescribeSubnets ec2:DescribeSecurityGroups ec2:DescribeVpcs elasticloadbalancing:DescribeLoadBalancers"
    ),
    *calls("elasticloadbalancing:DescribeTargetHealth acm:DescribeCertificate", "*"),
    Call("ec2:CreateSecurityGroup", f"{EC2}:security-group/*", OWN),
    Call("ec2:CreateTags", f"{EC2}:security-group/sg-1", {**OWN, "ec2:CreateAction": "CreateSecurityGroup"}),
    Call("ec2:AuthorizeSecurityGroupIngress", f"{EC2}:security-group/sg-1"),
    Call("elasticloadbalancing:CreateLoadBalancer", BALANCER, OWN),
    Call("elasticloadbalancing:CreateTargetGroup", GROUP, OWN),
    Call("elasticloadbalancing:AddTags", BALANCER, {**OWN, "elasticloadbalancing:CreateAction": "CreateLoadBalancer"}),
    Call("elasticloadbalancing:CreateListener", BALANCER),
    Call("elasticloadbalancing:ModifyLoadBalancerAttributes", BALANCER, OURS),
    Call("elasticloadbalancing:ModifyTargetGroupAttributes", GROUP, OURS),
    Call("elasticloadbalancing:RegisterTargets", GROUP),
    Call("elasticloadbalancing:DeregisterTargets", GROUP),
    Call("elasticloadbalancing:DeleteLoadBalancer", BALANCER, OURS),
    Call("elasticloadbalancing:DeleteTargetGroup", GROUP, OURS),
    Call("ec2:DeleteSecurityGroup", f"{EC2}:security-group/sg-1", OURS),
]


def test_the_published_policy_lets_the_controller_keep_an_ingress() -> None:
    assert refused(load_balancer_controller(), INGRESS_CALLS) == []


def test_only_events_come_into_the_queue_and_only_by_tls() -> None:
    send, plain = interruption_queue(QUEUE)["Statement"]
    assert (send["Principal"], send["Action"]) == ({"Service": "events.amazonaws.com"}, ["sqs:SendMessage"])
    assert (plain["Effect"], plain["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_a_role_is_for_one_service_account_of_one_cluster() -> None:
    (statement,) = trust_pods("ns", "account", cluster=CLUSTER)["Statement"]
    assert statement["Condition"]["StringEquals"] == {
        "aws:RequestTag/eks-cluster-name": CLUSTER,
        "aws:RequestTag/kubernetes-namespace": "ns",
        "aws:RequestTag/kubernetes-service-account": "account",
    }


@cache
def operations() -> Mapping[str, set[str]]:
    """The API's operations by IAM prefix, of the services where the two have the same names."""
    loader = Loader()
    services = {"autoscaling": "autoscaling", "ec2": "ec2", "eks": "eks", "elasticloadbalancing": "elbv2", "sqs": "sqs"}
    return {
        prefix: set(loader.load_service_model(service, "service-2")["operations"])
        for prefix, service in {**services, "iam": "iam", "logs": "logs"}.items()
    }


# In IAM these have no operation of the API's own: rights beside it.
NO_OPERATION = {"iam:PassRole", "elasticloadbalancing:SetWebAcl"}


@pytest.mark.parametrize(
    "document",
    [*(case.document for case in CASES), load_balancer_controller()],
    ids=[*(case.says for case in CASES), "the load balancer controller"],
)
def test_every_action_is_one_of_aws_s(document: Mapping[str, Any]) -> None:
    assert set(unknown_actions(document, operations())) <= NO_OPERATION
