"""What EKS adds to an endpoint's pods and Ingress. Pure: no SDK is imported, so `takeover render` needs none either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from components.eks.layout import GPU_TAINT, POOL_LABEL, cluster_name
from takeover.kubernetes import Platform
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.registry.address import parse_address
from takeover.settings._eks import EksOptions

__all__ = ["bucket_folders", "inbound_cidrs", "ingress_annotations", "platform", "pool_name"]

# TLS 1.2 and 1.3 with forward secrecy only; the controller's default is of 2016.
_TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"

# Where pods get their role's credentials (docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html).
_POD_IDENTITY = ("169.254.170.23/32", 80)


def pool_name(spec: EndpointSpec) -> str:
    """What the stack's cluster and machines are called."""
    return cluster_name(spec.labels["project"], spec.labels["stack"])


def bucket_folders(models: Sequence[TrainedModel]) -> tuple[str, ...]:
    """The folders of the adapters that are in S3, as `bucket/key/name`, without their versions. Pure."""
    addresses = [parse_address(each.source) for each in models if each.source.startswith("s3://")]
    return tuple(sorted({address.path for address in addresses}))


def platform(
    spec: EndpointSpec, models: Sequence[TrainedModel], options: EksOptions, *, drain_seconds: int
) -> Platform:
    """What EKS adds to the pods and their Ingress. Pure."""
    outside = options.scheme != "none"
    stays = {
        "karpenter": {"karpenter.sh/do-not-disrupt": "true"},
        "cluster-autoscaler": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
        "none": {},
    }[options.autoscaler]
    return Platform(
        node_selector={POOL_LABEL: pool_name(spec)},
        tolerations=({"key": GPU_TAINT[0], "operator": "Equal", "value": GPU_TAINT[1], "effect": "NoSchedule"},),
        # A pod counts as ready once the load balancer has it as healthy: an update waits for that.
        namespace_labels={"elbv2.k8s.aws/pod-readiness-gate-inject": "enabled"} if outside else {},
        pod_annotations=stays,
        hostname=options.hostname,
        ingress_class="alb" if outside else None,
        ingress_annotations=ingress_annotations(options, drain_seconds=drain_seconds) if outside else {},
        ingress_cidrs=(options.vpc.cidr,) if outside else (),
        egress=(_POD_IDENTITY,) if bucket_folders(models) else (),
    )


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
