"""`takeover:eks`, what a stack on EKS may say, and what its keys say together. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from takeover.settings._models import Positive, _Strict

__all__ = ["AccessEntry", "ChartName", "EksDisk", "EksLogs", "EksNodes", "EksOptions", "EksVpc"]

Texts = Annotated[tuple[str, ...], Field(strict=False)]
ChartName = Literal["keda", "kube-prometheus-stack"]
LogType = Literal["api", "audit", "authenticator", "controllerManager", "scheduler"]


class EksNodes(_Strict):
    """The GPU nodes of one stack, over all zones together. With `min: 0` the first request waits for a machine."""

    min: Annotated[int, Field(ge=0)] = 1
    max: Positive = 2


class EksDisk(_Strict):
    """The gp3 disk of a GPU node: vLLM's image unpacked (some 25 GiB), the base's weights, and room. A slow one makes a
    cold start slow: parallel pulls want 600 MiB/s (amazon-eks-ami, nodeadm/doc/examples.md, read 2026-11-24)."""

    size_gib: Annotated[int, Field(ge=50, le=16384)] = 200
    throughput: Annotated[int, Field(ge=125, le=2000)] = 600
    iops: Annotated[int, Field(ge=3000, le=80000)] = 3000


class EksVpc(_Strict):
    """Either one of the stack's own (`natPerZone`, `ecrEndpoints`), or a given one by `vpcId` and its subnets.

    `privateSubnets` and `publicSubnets` map a subnet's id to its zone, so that a mistake shows in the preview.
    `cidr` is the network of either, and of a shared cluster's VPC: the load balancer asks pods from there.
    """

    cidr: str = "10.64.0.0/16"
    nat_per_zone: bool = True
    ecr_endpoints: bool = True
    vpc_id: str | None = None
    private_subnets: dict[str, str] = Field(default_factory=dict)
    public_subnets: dict[str, str] = Field(default_factory=dict)


class AccessEntry(_Strict):
    """Who may do what in the cluster: an IAM role's or user's ARN, and one of EKS's access policies.

    Without `namespaces` it holds for the whole cluster.
    """

    principal: str = ""
    policy: Literal["cluster-admin", "admin", "edit", "view"] = "view"
    namespaces: Texts = ()


class EksLogs(_Strict):
    """The control plane's logs in CloudWatch, kept for so many days; VPC flow logs are kept as long."""

    types: Annotated[tuple[LogType, ...], Field(strict=False)] = (
        "api",
        "audit",
        "authenticator",
        "controllerManager",
        "scheduler",
    )
    retention_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653] = 90


class EksOptions(_Strict):
    """`takeover:eks`. docs/eks.md explains each key.

    `role: cluster` makes the cluster alone, for other stacks to use by `clusterStack: organization/project/stack`.
    Kubernetes' API is reachable from inside the VPC only, unless `apiPublicCidrs` names who else may ask it.
    """

    role: Literal["serve", "cluster"] = "serve"
    region: str
    # Of both: which machines serve, and how many there are.
    zones: Texts = ()
    ami: Literal["al2023", "bottlerocket"] = "al2023"
    autoscaler: Literal["karpenter", "cluster-autoscaler", "none"] = "cluster-autoscaler"
    # Of a stack that serves.
    cluster_stack: str | None = None
    instance_type: str | None = None
    nodes: EksNodes = EksNodes()
    disk: EksDisk = EksDisk()
    capacity_type: Literal["ON_DEMAND", "SPOT"] = "ON_DEMAND"
    ami_version: str | None = None
    fast_image_pull: bool = False
    # The KMS key of the bucket with the adapters, where it is not S3's own.
    adapter_key_arn: str | None = None
    scheme: Literal["internal", "internet-facing", "none"] = "internal"
    hostname: str | None = None
    certificate_arn: str | None = None
    hosted_zone_id: str | None = None
    inbound_cidrs: Texts = ()
    waf_acl_arn: str | None = None
    # Of a stack that makes the cluster.
    kubernetes_version: Literal["1.34", "1.35", "1.36"] = "1.35"
    support: Literal["extended", "standard"] = "extended"
    vpc: EksVpc = EksVpc()
    system_instance_type: str = "m7i.large"
    system_nodes: Annotated[int, Field(ge=2, le=20)] = 2
    api_public_cidrs: Texts = ()
    access_entries: Annotated[tuple[AccessEntry, ...], Field(strict=False)] = ()
    logs: EksLogs = EksLogs()
    kms_key_arn: str | None = None
    ebs_volumes: bool = False
    # Of a stack that makes a cluster alone; elsewhere `takeover:hosting.protect` says it.
    protect: bool = True
    # Without the key a stack that serves installs what its pods need, and one that makes a cluster alone nothing.
    install: Annotated[tuple[ChartName, ...], Field(strict=False)] | None = None
