"""AWS's load balancer controller in the cluster; `pods.py` has what an Ingress tells it."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_aws import eks

from components.eks.addons import CHARTS, release
from components.eks.layout import POOL_LABEL
from components.eks.roles import pod_role
from takeover.aws.eks_policies import load_balancer_controller
from takeover.settings._eks import EksOptions

__all__ = ["install_load_balancer_controller"]


def install_load_balancer_controller(
    name: str,
    cluster: eks.Cluster,
    vpc_id: pulumi.Output[str],
    options: EksOptions,
    after: Sequence[pulumi.Resource],
    opts: pulumi.ResourceOptions,
    charts: pulumi.ResourceOptions,
) -> pulumi.Resource:
    """The controller, with its role. Region and VPC are told: pods do not reach the machine's own data (one hop)."""
    account = "aws-load-balancer-controller"
    role = pod_role(
        f"{name}-load-balancer",
        cluster_name=cluster.name,
        namespace="kube-system",
        service_account=account,
        policy=load_balancer_controller(),
        opts=opts,
    )
    values = {
        "clusterName": name,
        "region": options.region,
        "vpcId": vpc_id,
        "serviceAccount": {"create": True, "name": account},
        "nodeSelector": {POOL_LABEL: "system"},
        "podDisruptionBudget": {"maxUnavailable": 1},
        # Otherwise every Service of the cluster waits for this controller's webhook.
        "enableServiceMutatorWebhook": False,
    }
    ordered = pulumi.ResourceOptions.merge(charts, pulumi.ResourceOptions(depends_on=[role, *after]))
    return release("load-balancer", CHARTS["load-balancer"], values, ordered)
