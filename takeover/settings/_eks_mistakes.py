"""What is wrong with `takeover:eks`, all at once, each mistake under its YAML key. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic.alias_generators import to_camel

from takeover.errors import Refused
from takeover.planning.hardware import INSTANCES, Instance, gpu_named, instance_named
from takeover.settings._eks import EksOptions
from takeover.settings._eks_charts import chart_mistakes, unfit
from takeover.settings._eks_network import (
    arn_mistakes,
    cidr_mistakes,
    cidr_of_others_mistakes,
    ingress_mistakes,
    is_region,
    is_zone,
    vpc_mistakes,
    wrong,
)
from takeover.settings._kubernetes import KubernetesOptions
from takeover.settings._models import Hosting
from takeover.settings._raw import WrongSetting, join, shown

__all__ = ["eks_mistakes", "zones_of"]

_KEY = "eks"

# Who has which keys: a stack that makes the cluster, one that serves on it. Without `clusterStack` a stack does both.
_OF_THE_CLUSTER = frozenset(
    {
        "kubernetes_version",
        "support",
        "vpc",
        "system_instance_type",
        "system_nodes",
        "api_public_cidrs",
        "access_entries",
        "logs",
        "kms_key_arn",
        "ebs_volumes",
        "install",
    }
)
_OF_SERVING = frozenset(
    {
        "cluster_stack",
        "instance_type",
        "nodes",
        "disk",
        "capacity_type",
        "ami_version",
        "fast_image_pull",
        "adapter_key_arn",
        "scheme",
        "hostname",
        "certificate_arn",
        "hosted_zone_id",
        "inbound_cidrs",
        "waf_acl_arn",
    }
)


def eks_mistakes(
    options: EksOptions, hosting: Hosting | None, kubernetes: KubernetesOptions | None = None
) -> Iterator[Refused]:
    """What is wrong with these options together; `hosting` is None for a stack that makes the cluster alone.

    With `kubernetes`, also whether its pods fit on these machines.
    """
    yield from _role_mistakes(options)
    yield from _region_mistakes(options)
    if options.cluster_stack is None:
        yield from vpc_mistakes(options)
        yield from _cluster_mistakes(options)
    if options.role == "serve":
        yield from _machine_mistakes(options, hosting)
        yield from _disk_mistakes(options)
        yield from ingress_mistakes(options)
        if kubernetes is not None and options.instance_type is not None and options.instance_type in INSTANCES:
            yield from _pod_mistakes(options, INSTANCES[options.instance_type], kubernetes)
        if kubernetes is not None and hosting is not None and options.cluster_stack is None:
            yield from chart_mistakes(options, hosting, kubernetes)


def zones_of(options: EksOptions) -> tuple[str, ...]:
    """The zones that the nodes stand in, in the order of the alphabet."""
    return tuple(sorted(set(options.zones) | set(options.vpc.private_subnets.values())))


def _role_mistakes(options: EksOptions) -> Iterator[Refused]:
    if options.role == "cluster":
        for name in sorted(options.model_fields_set & _OF_SERVING):
            said = "is set, but this stack makes a cluster and serves nothing (role: cluster)."
            yield wrong(to_camel(name), said, fix="Set it in the stacks that serve on the cluster.")
        return
    if "protect" in options.model_fields_set:
        said = "is set, but this stack serves."
        yield wrong("protect", said, fix=f"Write it as {join('hosting', 'protect')}.")
    if options.cluster_stack is not None:
        yield from _shared_vpc_mistakes(options)
        for name in sorted(options.model_fields_set & _OF_THE_CLUSTER - {"vpc"}):
            said = f"is set, but the cluster is made by {options.cluster_stack}."
            yield wrong(to_camel(name), said, fix="Set it there, or remove clusterStack.")
        if len(options.cluster_stack.split("/")) != 3:
            yield wrong(
                "clusterStack",
                f"is {shown(options.cluster_stack)}, but must be organization/project/stack.",
                fix="With a backend of your own the organization is the word organization.",
            )


def _shared_vpc_mistakes(options: EksOptions) -> Iterator[Refused]:
    for name in sorted(options.vpc.model_fields_set - {"cidr"}):
        said = f"is set, but the cluster is made by {options.cluster_stack}."
        yield wrong("vpc", said, to_camel(name), fix="Set it there; only cidr is said here too.")
    yield from cidr_of_others_mistakes(options)


def _region_mistakes(options: EksOptions) -> Iterator[Refused]:
    if not is_region(options.region):
        yield wrong(
            "region",
            f"is {shown(options.region)}, but must be one of AWS's commercial regions.",
            fix="Write it as AWS does, for example eu-central-1.",
        )
        return
    for index, zone in enumerate(options.zones):
        if zone in options.zones[:index]:
            yield wrong("zones", f"is {shown(zone)}, which is named already.", index, fix="Name each zone once.")
        if not is_zone(zone, options.region):
            fix = f"Its zones are {options.region}a, {options.region}b and so on."
            yield wrong("zones", f"is {shown(zone)}, but the region is {options.region}.", index, fix=fix)
    for key, subnets in (
        ("privateSubnets", options.vpc.private_subnets),
        ("publicSubnets", options.vpc.public_subnets),
    ):
        for subnet, zone in subnets.items():
            if not is_zone(zone, options.region):
                said = f"is {shown(zone)}, but the region is {options.region}."
                yield wrong("vpc", said, key, subnet, fix="Write the zone that the subnet is in.")


def _cluster_mistakes(options: EksOptions) -> Iterator[Refused]:
    for index, cidr in enumerate(options.api_public_cidrs):
        yield from cidr_mistakes("apiPublicCidrs", index, cidr)
    if options.kms_key_arn is not None:
        yield from arn_mistakes("kmsKeyArn", options.kms_key_arn, "kms", "key/", options.region)
    for index, entry in enumerate(options.access_entries):
        if not re.fullmatch(r"arn:aws:iam::\d{12}:(role|user)/\S+", entry.principal):
            yield wrong(
                "accessEntries",
                f"is {shown(entry.principal)}, but must be the ARN of an IAM role or user.",
                index,
                "principal",
                fix="For people of IAM Identity Center it is the ARN of the role AWSReservedSSO_...",
            )
        if entry.policy == "cluster-admin" and entry.namespaces:
            said = "is set, but policy is cluster-admin, which is for the whole cluster."
            yield wrong("accessEntries", said, index, "namespaces", fix="Use policy: admin, or remove it.")
    principals = [entry.principal for entry in options.access_entries]
    for index, principal in enumerate(principals):
        if principal and principal in principals[:index]:
            said = f"is {shown(principal)}, which is named already."
            yield wrong("accessEntries", said, index, "principal", fix="Name each principal once.")


def _machine_mistakes(options: EksOptions, hosting: Hosting | None) -> Iterator[Refused]:
    yield from _instance_mistakes(options, hosting)
    nodes = options.nodes
    if nodes.min > nodes.max:
        yield wrong("nodes", f"is {nodes.min}, but max is {nodes.max}.", "min", fix="Make min the smaller one.")
    if options.autoscaler == "none" and nodes.min != nodes.max:
        yield wrong(
            "nodes",
            f"is {nodes.max} and min is {nodes.min}, but nothing adds nodes (autoscaler: none).",
            "max",
            fix="Make them equal, or use autoscaler: cluster-autoscaler.",
        )
    if options.cluster_stack is not None and len(set(options.zones)) < 2:
        said = "must name two zones or more that the cluster stands in, for this stack's nodes."
        yield wrong("zones", said, fix="They are among the cluster stack's zones.")
    if options.adapter_key_arn is not None:
        yield from arn_mistakes("adapterKeyArn", options.adapter_key_arn, "kms", "key/", options.region)
    yield from _capacity_mistakes(options, hosting)
    yield from _image_mistakes(options)


def _instance_mistakes(options: EksOptions, hosting: Hosting | None) -> Iterator[Refused]:
    where, name = join(_KEY, "instanceType"), options.instance_type
    if name is None:
        yield wrong(
            "instanceType", "is missing.", fix="Add it, for example g6e.2xlarge; `takeover fit` says what fits."
        )
        return
    try:
        instance_named(name)
    except Refused as error:
        said = f"{where} is {shown(name)}: {error.happened}."
        yield WrongSetting(said, why=error.why, fix=error.fix, where=where)
        return
    if name.startswith("ml."):
        fix = f"Write {name.removeprefix('ml.')}."
        yield wrong("instanceType", f"is {name}, which is SageMaker's name.", fix=fix)
    if hosting is not None and options.nodes.max * INSTANCES[name].gpus < hosting.max_replicas:
        gpus = options.nodes.max * INSTANCES[name].gpus
        yield wrong(
            "nodes",
            f"is {options.nodes.max}, which is {gpus} GPUs, but {join('hosting', 'maxReplicas')} is "
            f"{hosting.max_replicas}.",
            "max",
            why="A replica has a GPU of its own, or several.",
            fix="Raise it, or lower maxReplicas.",
        )


def _capacity_mistakes(options: EksOptions, hosting: Hosting | None) -> Iterator[Refused]:
    if options.capacity_type == "SPOT" and hosting is not None and hosting.environment == "production":
        yield wrong(
            "capacityType",
            "is SPOT, but production keeps its replicas.",
            why="AWS takes a spot machine back with two minutes' notice, and need not have another one.",
            fix="Use ON_DEMAND; SPOT is for staging.",
        )


def _image_mistakes(options: EksOptions) -> Iterator[Refused]:
    """EKS and Karpenter call the same image by different names."""
    if options.ami_version is None or options.ami != "al2023":
        return
    pattern, example = (
        (r"v\d{8}", "v20260723") if options.autoscaler == "karpenter" else (r"\d+\.\d+\.\d+-\d{8}", "1.35.2-20260723")
    )
    if not re.fullmatch(pattern, options.ami_version):
        yield wrong(
            "amiVersion",
            f"is {shown(options.ami_version)}, but with autoscaler: {options.autoscaler} it looks like {example}.",
            fix="The releases are on github.com/awslabs/amazon-eks-ami/releases.",
        )


def _disk_mistakes(options: EksOptions) -> Iterator[Refused]:
    """gp3's own bounds (docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html, read 2026-11-25)."""
    disk = options.disk
    if disk.throughput > disk.iops // 4:
        yield wrong(
            "disk",
            f"is {disk.throughput} MiB/s, but {disk.iops} iops carry {disk.iops // 4}.",
            "throughput",
            fix=f"Set iops to {disk.throughput * 4} or more.",
        )
    if disk.iops > disk.size_gib * 500:
        said = f"is {disk.iops}, but {disk.size_gib} GiB have {disk.size_gib * 500} at most."
        yield wrong("disk", said, "iops", fix="Make the disk larger, or lower it.")
    if options.fast_image_pull and disk.throughput < 600:
        yield wrong(
            "fastImagePull",
            f"is true, but the disk writes {disk.throughput} MiB/s.",
            why="Parallel pulls are slower than plain ones under 600 MiB/s.",
            fix="Set disk.throughput to 600 or more, or remove it.",
        )


def _pod_mistakes(options: EksOptions, machine: Instance, pods: KubernetesOptions) -> Iterator[Refused]:
    """A pod that fits on no node waits for ever, and the autoscaler says so in its own log only.

    A node keeps about a core and a tenth of its memory for itself, and 40 GiB of disk for system and image.
    """
    where = f"{join(_KEY, 'instanceType')}: {machine.name}"
    if gpu_named(pods.gpu) != machine.gpu:
        yield unfit("gpu", f"is {pods.gpu}, but {where} has {machine.gpu.name}.", f"Write gpu: {machine.gpu.name}.")
    for key, wanted, has in (
        ("gpus", pods.gpus, machine.gpus),
        ("cpus", pods.cpus, machine.vcpus - 1),
        ("memoryGib", pods.memory_gib, int(machine.memory_gib * 0.9)),
    ):
        if wanted > has:
            yield unfit(key, f"is {wanted}, but {where} has {has} for pods.", f"Lower it to {has} or less.")
    room = options.disk.size_gib - 40
    if pods.cache_claim is None and pods.cache_storage_class is None and pods.cache_gib > room:
        said = f"is {pods.cache_gib}, but a disk of {options.disk.size_gib} GiB has {room} for it."
        yield unfit("cacheGib", said, f"Set {join(_KEY, 'disk', 'sizeGib')} to {pods.cache_gib + 40} or more.")
