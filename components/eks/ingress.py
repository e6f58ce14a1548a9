"""The load balancer: AWS's controller in the cluster, and what an Ingress tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
from pulumi_aws import eks

from components.eks.addons import CHARTS, release
from components.eks.layout import POOL_LABEL
from components.eks.roles import pod_role
from takeover.aws.eks_policies import load_balancer_controller
from takeover.settings._eks import EksOptions

__all__ = ["inbound_cidrs", "ingress_annotations", "install_load_balancer_controller"]

# TLS 1.2 and 1.3 with forward secrecy only; the controller's default is of 2016.
_TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"


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


def inbound_cidrs(options: EksOptions) -> tuple[str, ...]:
    """Who may ask the load balancer: whoever the settings name, else the VPC it stands in."""
    return options.inbound_cidrs or (options.vpc.cidr,)


def ingress_annotations(options: EksOptions, *, drain_seconds: int) -> Mapping[str, str]:
    """What AWS's controller reads on the Ingress (its docs/guide/ingress/annotations.md, read 2026-11-25). Pure.

    Answers take minutes: the balancer's default of 60 s between two bytes would cut them. A target that leaves keeps
    its connections for as long as a pod drains.
    """
    assert options.certificate_arn is not None, "refused in the settings"
    balancer = {
        "idle_timeout.timeout_seconds": "3600",
        "routing.http.drop_invalid_header_fields.enabled": "true",
    }
    group = {
        "deregistration_delay.timeout_seconds": str(drain_seconds),
        "load_balancing.algorithm.type": "least_outstanding_requests",
    }
    told = {
        "scheme": options.scheme,
        "target-type": "ip",
        "listen-ports": '[{"HTTPS":443}]',
        "certificate-arn": options.certificate_arn,
        "ssl-policy": _TLS_POLICY,
        "inbound-cidrs": ",".join(inbound_cidrs(options)),
        "healthcheck-path": "/health",
        "healthcheck-interval-seconds": "10",
        "healthcheck-timeout-seconds": "5",
        "healthy-threshold-count": "2",
        "unhealthy-threshold-count": "3",
        "success-codes": "200",
        "load-balancer-attributes": _pairs(balancer),
        "target-group-attributes": _pairs(group),
    }
    subnets = options.vpc.public_subnets if options.scheme == "internet-facing" else options.vpc.private_subnets
    if subnets:
        # A given VPC's subnets are named, one a zone; those of the stack's own are found by their tags.
        told["subnets"] = ",".join(sorted({zone: subnet for subnet, zone in sorted(subnets.items())}.values()))
    if options.waf_acl_arn is not None:
        told["wafv2-acl-arn"] = options.waf_acl_arn
    return {f"alb.ingress.kubernetes.io/{key}": value for key, value in sorted(told.items())}


def _pairs(values: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(values.items()))
