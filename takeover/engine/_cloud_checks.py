"""`takeover doctor` on AWS and Kubernetes: who is asked, with which right, and whether the quota holds. Reads only."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from takeover.engine.doctor import Case

__all__ = ["aws_account", "aws_tools", "ec2_quota", "kubernetes_cluster", "kubernetes_tools", "sagemaker_quota"]

Level = Literal["good", "note", "problem"]
Found = tuple[Level, str, str]
_INSTALL = "uv sync --inexact --group clouds"
# Service Quotas counts EC2's GPU machines in vCPUs, by the family's first letter and by how they are paid for
# (docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html, read 2026-11-25).
_EC2_QUOTAS = {
    ("g", "ON_DEMAND"): "Running On-Demand G and VT instances",
    ("p", "ON_DEMAND"): "Running On-Demand P instances",
    ("g", "SPOT"): "All G and VT Spot Instance Requests",
    ("p", "SPOT"): "All P5 Spot Instance Requests",
}


def _installed(what: str, *packages: str) -> Found:
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        return "problem", f"not installed: {', '.join(missing)}", _INSTALL
    return "good", f"{what} is installed", ""


def aws_tools(_case: Case) -> Found:
    return _installed("what speaks to AWS", "boto3", "pulumi_aws")


def kubernetes_tools(_case: Case) -> Found:
    return _installed("what speaks to Kubernetes", "kubernetes", "pulumi_kubernetes")


def _region(case: Case) -> str:
    from takeover.providers._sagemaker_place import region_of

    settings = case.settings
    chosen = (settings.sagemaker or settings.eks) if settings is not None else None
    return region_of({"region": chosen.region if chosen is not None else None})


def aws_account(case: Case) -> Found:
    """Asks AWS whose credentials these are."""
    from takeover.providers._sagemaker_api import Api

    region = _region(case)
    who = asyncio.run(Api(region).call("sts", "get_caller_identity"))
    return "good", f"the credentials are {who['Arn']}'s, in {region}", ""


def sagemaker_quota(case: Case) -> Found:
    """How many instances of the stack's type the account may have for endpoints."""
    from takeover.providers._sagemaker_quota import look_at_quota

    settings = case.settings
    if settings is None or settings.sagemaker is None:
        return "note", "which instance is wanted, a stack says", "takeover doctor --stack STACK"
    options = settings.sagemaker
    return look_at_quota(
        options.region, options.instance_type, settings.hosting.max_replicas, by_fleets=not options.has_components
    )


def ec2_quota(case: Case) -> Found:
    """How many vCPUs of GPU machines the account may run, against those of the stack's nodes."""
    from takeover.planning.hardware import instance_named
    from takeover.providers._sagemaker_api import Api
    from takeover.providers._sagemaker_quota import listed_quota

    settings = case.settings
    options = settings.eks if settings is not None else None
    if options is None or options.instance_type is None:
        return "note", "which machines are wanted, a stack says", "takeover doctor --stack STACK"
    name = _EC2_QUOTAS.get((options.instance_type[0], options.capacity_type))
    if name is None:
        return "note", f"{options.capacity_type} machines have no quota of this kind", ""
    found = asyncio.run(listed_quota(Api(options.region), "list_service_quotas", "ec2", name))
    if found is None:
        return "note", f"Service Quotas does not name {name}", f"Look for it there, in {options.region}."
    needed = options.nodes.max * instance_named(options.instance_type).vcpus
    said = f"a quota of {found} vCPUs ({name}) in {options.region}"
    wanted = f"{options.nodes.max} x {options.instance_type} have {needed}"
    if found < needed:
        return "problem", f"{said}: {wanted}", f"Ask for {needed} or more of `{name}` in Service Quotas."
    return "good", f"{said}: {wanted}", ""


def kubernetes_cluster(case: Case) -> Found:
    """Asks the cluster for its version, with the credential of the kubeconfig's user."""
    from takeover.providers._kube_api import opened
    from takeover.providers._kube_place import require_cluster

    settings = case.settings
    options = settings.kubernetes if settings is not None else None

    async def ask() -> str:
        kubeconfig, context = (options.kubeconfig, options.context) if options is not None else (None, None)
        async with opened(kubeconfig, context) as kube:
            await require_cluster(kube, options.expected_cluster if options is not None else None)
            version = await kube.call("GET", "/version", "the version")
            return f"{kube.access.called} answers, Kubernetes {version.get('gitVersion')}"

    return "good", asyncio.run(ask()), ""
