"""What Karpenter's controller may do. Pure.

Follows the CloudFormation template of karpenter.sh (aws/karpenter-provider-aws, website/content/en/v1.14/
getting-started/getting-started-with-karpenter/cloudformation.yaml, 2026-07-11, read 2026-11-25), in our words and
narrower: the instance profile is made by the stack, so Karpenter may not make, tag or delete any.
"""

from __future__ import annotations

from typing import Any

from takeover.aws.policies import Statement, allow, policy_document

__all__ = ["karpenter_controller"]

_MADE = ("fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request")


def karpenter_controller(region: str, cluster: str, *, node_role_arn: str, queue_arn: str) -> dict[str, Any]:
    """The controller's policy for one cluster: machines that carry its tags, and reading what there is."""
    return policy_document(
        *_launching(region, cluster),
        *_tagging(region, cluster),
        allow(
            "EndMachines",
            ["ec2:DeleteLaunchTemplate", "ec2:TerminateInstances"],
            _ec2(region, "instance", "launch-template"),
            when=_owned("Resource", cluster),
        ),
        allow(
            "PassNodeRole",
            ["iam:PassRole"],
            node_role_arn,
            when={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        ),
        allow("SeeCluster", ["eks:DescribeCluster"], f"arn:aws:eks:{region}:*:cluster/{cluster}"),
        allow("ReadQueue", ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"], queue_arn),
        *_seeing(region),
    )


def _ec2(region: str, *kinds: str, account: str = "*") -> list[str]:
    return [f"arn:aws:ec2:{region}:{account}:{kind}/*" for kind in kinds]


def _owned(whose: str, cluster: str, **more: str) -> dict[str, dict[str, str]]:
    """The tags that Karpenter gives: of the request that makes a thing, or of the thing."""
    return {
        "StringEquals": {f"aws:{whose}Tag/kubernetes.io/cluster/{cluster}": "owned", **more},
        "StringLike": {f"aws:{whose}Tag/karpenter.sh/nodepool": "*"},
    }


def _launching(region: str, cluster: str) -> tuple[Statement, ...]:
    launch = ["ec2:CreateFleet", "ec2:RunInstances"]
    parts = [
        *_ec2(region, "image", "snapshot", account=""),
        *_ec2(region, "security-group", "subnet", "capacity-reservation", "placement-group"),
    ]
    named = {f"aws:RequestTag/{key}": cluster for key in ("eks:eks-cluster-name",)}
    return (
        allow("LaunchFromParts", launch, parts),
        allow("LaunchByTemplate", launch, _ec2(region, "launch-template"), when=_owned("Resource", cluster)),
        allow(
            "LaunchTagged",
            [*launch, "ec2:CreateLaunchTemplate"],
            _ec2(region, *_MADE),
            when=_owned("Request", cluster, **named),
        ),
    )


def _tagging(region: str, cluster: str) -> tuple[Statement, ...]:
    made = _owned("Request", cluster, **{"aws:RequestTag/eks:eks-cluster-name": cluster})
    making = {**made["StringEquals"], "ec2:CreateAction": ["CreateFleet", "CreateLaunchTemplate", "RunInstances"]}
    return (
        allow("TagWhatIsMade", ["ec2:CreateTags"], _ec2(region, *_MADE), when={**made, "StringEquals": making}),
        allow(
            "NameMachines",
            ["ec2:CreateTags"],
            _ec2(region, "instance"),
            when={
                **_owned("Resource", cluster),
                "StringEqualsIfExists": {"aws:RequestTag/eks:eks-cluster-name": cluster},
                "ForAllValues:StringEquals": {
                    "aws:TagKeys": ["Name", "eks:eks-cluster-name", "karpenter.sh/nodeclaim"]
                },
            },
        ),
    )


def _seeing(region: str) -> tuple[Statement, ...]:
    """These actions take no resource; EC2's are bound to the region."""
    here = {"StringEquals": {"aws:RequestedRegion": region}}
    see = (
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
    )
    return (
        allow("SeeRegion", [f"ec2:Describe{each}" for each in see], "*", when=here),
        allow("SeeImages", ["ssm:GetParameter"], f"arn:aws:ssm:{region}::parameter/aws/service/*"),
        allow("SeePrices", ["pricing:GetProducts"], "*"),
        allow("SeeProfiles", ["iam:ListInstanceProfiles"], "*"),
        allow("SeeProfile", ["iam:GetInstanceProfile"], "arn:aws:iam::*:instance-profile/*"),
    )
