"""The machines that Karpenter may start for one endpoint: a NodePool and its EC2NodeClass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

from components.eks.facts import ClusterFacts
from components.eks.layout import GPU_TAINT, gpu_labels
from components.eks.nodes import data_device, fast_pull_data, metadata_options
from takeover.planning.hardware import INSTANCES
from takeover.settings._eks import EksOptions

__all__ = ["karpenter_pool", "node_pool"]


def karpenter_pool(
    name: str,
    facts: ClusterFacts,
    options: EksOptions,
    zones: Sequence[str],
    labels: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """Subnets, security group and profile are named by their ids: no tag of somebody else's network decides."""
    subnets = pulumi.Output.all(*(facts.private_subnets[zone] for zone in zones)).apply(
        lambda found: [{"id": subnet} for zone in found for subnet in zone]
    )
    node_class = CustomResource(
        f"{name}-class",
        api_version="karpenter.k8s.aws/v1",
        kind="EC2NodeClass",
        metadata={"name": name},
        spec={
            **_machine(options),
            "instanceProfile": facts.instance_profile,
            "subnetSelectorTerms": subnets,
            "securityGroupSelectorTerms": [{"id": facts.security_group}],
            "tags": {"Name": name, **{f"takeover:{key}": value for key, value in labels.items()}},
        },
        opts=opts,
    )
    pool = CustomResource(
        f"{name}-pool",
        api_version="karpenter.sh/v1",
        kind="NodePool",
        metadata={"name": name},
        spec=node_pool(name, options, zones),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[node_class])),
    )
    return [node_class, pool]


def node_pool(name: str, options: EksOptions, zones: Sequence[str]) -> dict[str, Any]:
    """The NodePool's spec. Pure.

    Karpenter's defaults know nothing of GPUs at work: they would move pods to save money, and end nodes while an image
    is pulled (karpenter-provider-aws#7414). Here a node goes only when nothing was on it for half an hour, one at a
    time, never for its age, and for a newer image only where `amiVersion` asks for that one.
    """
    assert options.instance_type is not None, "refused in the settings"
    gpus = options.nodes.max * INSTANCES[options.instance_type].gpus
    capacity = {"ON_DEMAND": "on-demand", "SPOT": "spot"}[options.capacity_type]
    requirements = {
        "karpenter.sh/capacity-type": [capacity],
        "kubernetes.io/arch": ["amd64"],
        "node.kubernetes.io/instance-type": [options.instance_type],
        "topology.kubernetes.io/zone": list(zones),
    }
    never = [] if options.ami_version else [{"nodes": "0", "reasons": ["Drifted"]}]
    return {
        "template": {
            "metadata": {"labels": dict(gpu_labels(name, options.instance_type))},
            "spec": {
                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": name},
                "taints": [{"key": GPU_TAINT[0], "value": GPU_TAINT[1], "effect": "NoSchedule"}],
                "requirements": [{"key": key, "operator": "In", "values": it} for key, it in requirements.items()],
                "expireAfter": "Never",
            },
        },
        "disruption": {
            "consolidationPolicy": "WhenEmpty",
            "consolidateAfter": "30m",
            "budgets": [{"nodes": "1"}, *never],
        },
        "limits": {"nvidia.com/gpu": str(gpus)},
    }


def _machine(options: EksOptions) -> dict[str, Any]:
    disk, family = options.disk, options.ami
    metadata = metadata_options()
    machine: dict[str, Any] = {
        # Of both families the alias takes the image with NVIDIA's driver for a machine with its GPU.
        "amiSelectorTerms": [{"alias": f"{family}@{options.ami_version or 'latest'}"}],
        "blockDeviceMappings": [
            {
                "deviceName": data_device(family),
                "ebs": {
                    "volumeSize": f"{disk.size_gib}Gi",
                    "volumeType": "gp3",
                    "throughput": disk.throughput,
                    "iops": disk.iops,
                    "encrypted": True,
                    "deleteOnTermination": True,
                },
            }
        ],
        "metadataOptions": {
            "httpEndpoint": metadata["http_endpoint"],
            "httpTokens": metadata["http_tokens"],
            "httpPutResponseHopLimit": metadata["http_put_response_hop_limit"],
        },
    }
    return {**machine, "userData": fast_pull_data(family)} if options.fast_image_pull else machine
