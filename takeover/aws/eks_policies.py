"""What each part of a cluster may do in AWS: one policy for each role, as least rights as its source allows. Pure.

The account stands as `*` in ARNs: a policy grants nothing outside its own account without that account's consent, and
a preview can show the whole text before the account is known.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from takeover.aws.policies import allow, deny, policy_document

__all__ = [
    "ACCESS_POLICIES",
    "CLUSTER_POLICIES",
    "CNI_POLICIES",
    "EBS_POLICIES",
    "NODE_POLICIES",
    "adapter_reader",
    "cluster_autoscaler",
    "flow_logs",
    "interruption_queue",
    "load_balancer_controller",
]

# AWS's own policies (docs.aws.amazon.com/eks/latest/userguide/security-iam-awsmanpol.html, read 2026-11-25). The node's
# one lets the Pod Identity agent work; images are only pulled; the CNI has a role of its own.
CLUSTER_POLICIES = ("arn:aws:iam::aws:policy/AmazonEKSClusterPolicy",)
NODE_POLICIES = (
    "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly",
    "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy",
)
CNI_POLICIES = ("arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy",)
EBS_POLICIES = ("arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy",)
ACCESS_POLICIES = {
    "cluster-admin": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
    "admin": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSAdminPolicy",
    "edit": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy",
    "view": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy",
}


def load_balancer_controller() -> dict[str, Any]:
    """As AWS publishes it; load_balancer_controller.json beside this file names its source and date.

    Several of its statements are for all resources: AWS has no narrower form of them, so they stand as published.
    """
    text = Path(__file__).with_name("load_balancer_controller.json").read_text(encoding="utf-8")
    policy: dict[str, Any] = json.loads(text)["policy"]
    return policy


def cluster_autoscaler(region: str, cluster: str) -> dict[str, Any]:
    """Its recommended policy, with what changes a group bound to this cluster's groups by their tag.

    kubernetes/autoscaler, cluster-autoscaler/cloudprovider/aws/README.md, "Full Cluster Autoscaler Features Policy", at
    2026-08-22. Left out: DescribeLaunchConfigurations, since node groups have launch templates.
    """
    owned = {"StringEquals": {f"aws:ResourceTag/k8s.io/cluster-autoscaler/{cluster}": "owned"}}
    return policy_document(
        allow(
            "See",
            [
                "autoscaling:DescribeAutoScalingGroups",
                "autoscaling:DescribeAutoScalingInstances",
                "autoscaling:DescribeScalingActivities",
                "autoscaling:DescribeTags",
                "ec2:DescribeImages",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeLaunchTemplateVersions",
                "ec2:GetInstanceTypesFromInstanceRequirements",
            ],
            "*",
        ),
        allow("SeeNodeGroups", ["eks:DescribeNodegroup"], f"arn:aws:eks:{region}:*:nodegroup/{cluster}/*/*"),
        allow(
            "Scale",
            ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"],
            f"arn:aws:autoscaling:{region}:*:autoScalingGroup:*:autoScalingGroupName/*",
            when=owned,
        ),
    )


def adapter_reader(folders: Sequence[str], *, region: str, key_arn: str | None = None) -> dict[str, Any]:
    """What serving pods may read: every version of their own adapters (`bucket/key/name` each), nothing beside them.

    Every version, since pods of the version before are started anew while an update or a roll-back runs. Nothing is
    listed: the pod knows the names of its files. `key_arn` is the bucket's KMS key, which S3 alone uses for them.
    """
    by_s3 = {"StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"}}
    return policy_document(
        allow("ReadAdapters", ["s3:GetObject"], [f"arn:aws:s3:::{folder}/*" for folder in folders]),
        *([allow("ReadEncrypted", ["kms:Decrypt"], key_arn, when=by_s3)] if key_arn is not None else []),
    )


def flow_logs(group_arn: str) -> dict[str, Any]:
    """What lets the VPC write its flow logs into one log group."""
    return policy_document(
        allow(
            "Write",
            ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            [group_arn, f"{group_arn}:*"],
        ),
        allow("Find", ["logs:DescribeLogGroups"], "*"),
    )


def interruption_queue(queue_arn: str) -> dict[str, Any]:
    """The queue's own policy: EventBridge may send, and nobody may come without TLS."""
    send = allow("Events", ["sqs:SendMessage"], queue_arn)
    plain = deny("DenyHttp", ["sqs:*"], queue_arn, when={"Bool": {"aws:SecureTransport": "false"}})
    return policy_document({**send, "Principal": {"Service": "events.amazonaws.com"}}, {**plain, "Principal": "*"})
