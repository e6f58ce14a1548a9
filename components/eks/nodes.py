"""Machines: a few small ones for the cluster's own pods, and the GPU nodes of one endpoint, one group in each zone."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import pulumi
from pulumi_aws import autoscaling, ec2, eks
from pulumi_aws.eks.outputs import NodeGroupResource

from components.eks.facts import ClusterFacts
from components.eks.layout import GPU_TAINT, POOL_LABEL, gpu_labels, per_zone
from takeover.settings._eks import EksOptions

__all__ = ["GPU_AMI", "PLAIN_AMI", "data_device", "fast_pull_data", "gpu_groups", "metadata_options", "system_group"]

GPU_AMI = {"al2023": "AL2023_x86_64_NVIDIA", "bottlerocket": "BOTTLEROCKET_x86_64_NVIDIA"}
PLAIN_AMI = {"al2023": "AL2023_x86_64_STANDARD", "bottlerocket": "BOTTLEROCKET_x86_64"}

# FastImagePull: nodeadm's feature gate, and Bottlerocket's snapshotter (facts, B1; read 2026-11-24).
_NODEADM = """\
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="//"

--//
Content-Type: application/node.eks.aws

apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  featureGates:
    FastImagePull: true
--//--
"""
_BOTTLEROCKET = """\
[settings.container-runtime]
snapshotter = "soci"

[settings.container-runtime-plugins.soci-snapshotter]
pull-mode = "parallel-pull-unpack"
"""


def data_device(ami: str) -> str:
    """The disk that images and volumes are on. Bottlerocket has its system on another one, of a few GiB."""
    return "/dev/xvdb" if ami == "bottlerocket" else "/dev/xvda"


def fast_pull_data(ami: str) -> str:
    return _BOTTLEROCKET if ami == "bottlerocket" else _NODEADM


def metadata_options() -> Mapping[str, str | int]:
    """Session tokens only, and one hop: pods cannot take the node's role; theirs come from the Pod Identity agent."""
    return {"http_endpoint": "enabled", "http_tokens": "required", "http_put_response_hop_limit": 1}


def system_group(
    name: str,
    cluster: eks.Cluster,
    options: EksOptions,
    subnets: pulumi.Output[list[str]],
    role: pulumi.Output[str],
    opts: pulumi.ResourceOptions,
) -> eks.NodeGroup:
    """Nodes without a GPU and without a taint, for CoreDNS, controllers and whatever tolerates nothing."""
    template = _template(f"{name}-system", options.ami, 50, 125, 3000, opts)
    return eks.NodeGroup(
        f"{name}-system",
        cluster_name=cluster.name,
        node_role_arn=role,
        subnet_ids=subnets,
        ami_type=PLAIN_AMI[options.ami],
        version=cluster.version,
        instance_types=[options.system_instance_type],
        labels={POOL_LABEL: "system"},
        launch_template=_version(template),
        scaling_config=eks.NodeGroupScalingConfigArgs(
            min_size=options.system_nodes, desired_size=options.system_nodes, max_size=options.system_nodes + 1
        ),
        update_config=eks.NodeGroupUpdateConfigArgs(max_unavailable=1),
        node_repair_config=eks.NodeGroupNodeRepairConfigArgs(enabled=True),
        opts=pulumi.ResourceOptions.merge(opts, _unscaled()),
    )


def gpu_groups(
    name: str, facts: ClusterFacts, options: EksOptions, zones: Sequence[str], opts: pulumi.ResourceOptions
) -> list[eks.NodeGroup]:
    """One group in each zone: a group over several is rebalanced by AWS, which ends nodes that serve.

    On a cluster of the stack's own any zone may have them all, and the autoscaler's own limit holds their sum. On a
    shared one that limit is not ours to set, so each zone has its share.
    """
    assert options.instance_type is not None, "refused in the settings"
    disk = options.disk
    data = fast_pull_data(options.ami) if options.fast_image_pull else None
    template = _template(f"{name}-gpu", options.ami, disk.size_gib, disk.throughput, disk.iops, opts, data)
    labels = gpu_labels(name, options.instance_type)
    least = per_zone(options.nodes.min, zones)
    limited = options.autoscaler == "cluster-autoscaler" and options.cluster_stack is None
    most = dict.fromkeys(zones, options.nodes.max) if limited else per_zone(options.nodes.max, zones)
    groups = []
    for zone in zones:
        group = eks.NodeGroup(
            f"{name}-gpu-{zone}",
            cluster_name=facts.name,
            node_role_arn=facts.node_role,
            subnet_ids=facts.private_subnets[zone],
            ami_type=GPU_AMI[options.ami],
            # Nodes follow the cluster's Kubernetes, one by one, unless an image is named: that is of one version.
            version=facts.version if options.ami_version is None else None,
            release_version=options.ami_version,
            capacity_type=options.capacity_type,
            instance_types=[options.instance_type],
            labels=labels,
            taints=[eks.NodeGroupTaintArgs(key=GPU_TAINT[0], value=GPU_TAINT[1], effect="NO_SCHEDULE")],
            launch_template=_version(template),
            scaling_config=eks.NodeGroupScalingConfigArgs(
                min_size=least[zone], desired_size=least[zone], max_size=max(most[zone], 1)
            ),
            update_config=eks.NodeGroupUpdateConfigArgs(max_unavailable=1),
            node_repair_config=eks.NodeGroupNodeRepairConfigArgs(enabled=True),
            opts=pulumi.ResourceOptions.merge(opts, _unscaled()),
        )
        if options.autoscaler == "cluster-autoscaler":
            _scale_from_zero(f"{name}-gpu-{zone}", group, labels, disk.size_gib, opts)
        groups.append(group)
    return groups


def _unscaled() -> pulumi.ResourceOptions:
    """The number of nodes is the autoscaler's after the first time: shrinking it here would end nodes at once."""
    return pulumi.ResourceOptions(
        ignore_changes=["scalingConfig.desiredSize"],
        custom_timeouts=pulumi.CustomTimeouts(create="60m", update="120m", delete="60m"),
    )


def _scale_from_zero(
    name: str, group: eks.NodeGroup, labels: Mapping[str, str], size_gib: int, opts: pulumi.ResourceOptions
) -> None:
    """Tags on the group itself, by which the autoscaler knows a node that is not there yet.

    It asks EKS for labels and taints only while a group never had a node (its AWS README, 2026-08-22), and never for
    the disk: pods that ask for a cache on it would wait for ever. Of the disk kubelet keeps a tenth and a GiB.
    """
    told = {f"label/{key}": value for key, value in labels.items()}
    told[f"taint/{GPU_TAINT[0]}"] = f"{GPU_TAINT[1]}:NoSchedule"
    told["resources/ephemeral-storage"] = f"{size_gib * 9 // 10 - 1}Gi"
    scaling_group = group.resources.apply(_scaling_group)
    for key, value in told.items():
        autoscaling.Tag(
            f"{name}-{key}",
            autoscaling_group_name=scaling_group,
            tag=autoscaling.TagTagArgs(
                key=f"k8s.io/cluster-autoscaler/node-template/{key}", value=value, propagate_at_launch=False
            ),
            opts=opts,
        )


def _scaling_group(found: Sequence[NodeGroupResource]) -> str:
    """The one group that EKS made, by its name."""
    return next(str(each.name) for resource in found for each in resource.autoscaling_groups or ())


def _version(template: ec2.LaunchTemplate) -> eks.NodeGroupLaunchTemplateArgs:
    return eks.NodeGroupLaunchTemplateArgs(id=template.id, version=template.latest_version.apply(str))


def _template(
    name: str,
    ami: str,
    size_gib: int,
    throughput: int,
    iops: int,
    opts: pulumi.ResourceOptions,
    user_data: str | None = None,
) -> ec2.LaunchTemplate:
    """The disk, and how the machine's own data are read. EKS adds the image, its security group and the start-up."""
    disk = ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
        volume_size=size_gib,
        volume_type="gp3",
        throughput=throughput,
        iops=iops,
        encrypted="true",
        delete_on_termination="true",
    )
    metadata = metadata_options()
    return ec2.LaunchTemplate(
        name,
        update_default_version=True,
        block_device_mappings=[
            ec2.LaunchTemplateBlockDeviceMappingArgs(device_name=data_device(ami), ebs=disk),
        ],
        metadata_options=ec2.LaunchTemplateMetadataOptionsArgs(
            http_endpoint=str(metadata["http_endpoint"]),
            http_tokens=str(metadata["http_tokens"]),
            http_put_response_hop_limit=int(metadata["http_put_response_hop_limit"]),
        ),
        user_data=base64.b64encode(user_data.encode()).decode() if user_data else None,
        tag_specifications=[
            ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags={"Name": name})
            for kind in ("instance", "volume")
        ],
        opts=opts,
    )
