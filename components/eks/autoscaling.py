"""What adds machines when pods wait, and takes empty ones away: the cluster autoscaler, or Karpenter."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_aws import cloudwatch, eks, sqs

from components.eks.addons import CHARTS, release
from components.eks.layout import POOL_LABEL
from components.eks.roles import pod_role
from takeover.aws.eks_policies import cluster_autoscaler, interruption_queue
from takeover.aws.karpenter_policy import karpenter_controller
from takeover.aws.policies import as_json
from takeover.settings._eks import EksOptions

__all__ = ["autoscaler_values", "install_autoscaler", "install_karpenter"]

# Its minor version is the cluster's (its README); the newest of each in registry.k8s.io's tags, 2026-08-22.
_IMAGES = {"1.34": "v1.34.5", "1.35": "v1.35.2", "1.36": "v1.36.1"}

# What EC2 and AWS say of a machine that will go (karpenter.sh's template, v1.14).
_WARNINGS: Mapping[str, tuple[str, str]] = {
    "health": ("aws.health", "AWS Health Event"),
    "spot": ("aws.ec2", "EC2 Spot Instance Interruption Warning"),
    "rebalance": ("aws.ec2", "EC2 Instance Rebalance Recommendation"),
    "state": ("aws.ec2", "EC2 Instance State-change Notification"),
}


def install_autoscaler(
    name: str,
    cluster: eks.Cluster,
    options: EksOptions,
    after: Sequence[pulumi.Resource],
    opts: pulumi.ResourceOptions,
    charts: pulumi.ResourceOptions,
) -> pulumi.Resource:
    """The cluster autoscaler, bound to this cluster's groups by their tags."""
    role = pod_role(
        f"{name}-cluster-autoscaler",
        cluster_name=cluster.name,
        namespace="kube-system",
        service_account="cluster-autoscaler",
        policy=cluster_autoscaler(options.region, name),
        opts=opts,
    )
    ordered = pulumi.ResourceOptions.merge(charts, pulumi.ResourceOptions(depends_on=[role, *after]))
    return release("cluster-autoscaler", CHARTS["cluster-autoscaler"], autoscaler_values(name, options), ordered)


def autoscaler_values(cluster: str, options: EksOptions) -> dict[str, Any]:
    """The chart's values. Where the stack has the cluster to itself, no more nodes than it asked for, in all. Pure."""
    limit = options.system_nodes + 1 + options.nodes.max
    return {
        "autoDiscovery": {"clusterName": cluster},
        "awsRegion": options.region,
        "image": {"tag": _IMAGES[options.kubernetes_version]},
        "rbac": {"serviceAccount": {"create": True, "name": "cluster-autoscaler"}},
        "nodeSelector": {POOL_LABEL: "system"},
        "extraArgs": {
            "balance-similar-node-groups": True,
            "expander": "least-waste",
            "skip-nodes-with-system-pods": False,
            # A base is pulled for minutes: a node that is empty for a moment is worth keeping.
            "scale-down-unneeded-time": "20m",
            "scale-down-delay-after-add": "20m",
            **({"max-nodes-total": limit} if options.role == "serve" else {}),
        },
    }


def install_karpenter(
    name: str,
    cluster: eks.Cluster,
    node_role: pulumi.Output[str],
    options: EksOptions,
    after: Sequence[pulumi.Resource],
    opts: pulumi.ResourceOptions,
    charts: pulumi.ResourceOptions,
) -> pulumi.Resource:
    """Karpenter's controller on the system nodes, and the queue that tells it which machines will go."""
    queue = _queue(name, opts)
    policy = pulumi.Output.all(node_role, queue.arn).apply(
        lambda arns: karpenter_controller(options.region, name, node_role_arn=arns[0], queue_arn=arns[1])
    )
    role = pod_role(
        f"{name}-karpenter",
        cluster_name=cluster.name,
        namespace="kube-system",
        service_account="karpenter",
        policy=policy,
        opts=opts,
    )
    values = {
        "serviceAccount": {"create": True, "name": "karpenter"},
        "nodeSelector": {POOL_LABEL: "system"},
        "settings": {"clusterName": name, "clusterEndpoint": cluster.endpoint, "interruptionQueue": queue.name},
        # Pods do not reach the machine's own data (one hop), where it would look for the region.
        "controller": {"env": [{"name": "AWS_REGION", "value": options.region}]},
    }
    ordered = pulumi.ResourceOptions.merge(charts, pulumi.ResourceOptions(depends_on=[role, *after]))
    return release("karpenter", CHARTS["karpenter"], values, ordered)


def _queue(name: str, opts: pulumi.ResourceOptions) -> sqs.Queue:
    queue = sqs.Queue(
        f"{name}-interruptions",
        name=f"{name}-interruptions",
        message_retention_seconds=300,
        sqs_managed_sse_enabled=True,
        opts=opts,
    )
    sqs.QueuePolicy(
        f"{name}-interruptions",
        queue_url=queue.url,
        policy=queue.arn.apply(lambda arn: as_json(interruption_queue(arn))),
        opts=opts,
    )
    for key, (source, kind) in _WARNINGS.items():
        rule = cloudwatch.EventRule(
            f"{name}-{key}", event_pattern=json.dumps({"source": [source], "detail-type": [kind]}), opts=opts
        )
        cloudwatch.EventTarget(f"{name}-{key}", rule=rule.name, arn=queue.arn, opts=opts)
    return queue
