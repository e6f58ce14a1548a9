"""Where everything stands: names, tags, and how a network is parted. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from takeover.planning.hardware import INSTANCES

__all__ = ["GPU_TAINT", "POOL_LABEL", "ZoneNetworks", "cluster_name", "gpu_labels", "parted", "per_zone"]

POOL_LABEL = "takeover.dev/pool"
# The value is `present`: NVIDIA's node feature discovery tolerates that one only (NVIDIA/k8s-device-plugin#1934).
GPU_TAINT = ("nvidia.com/gpu", "present")


@dataclass(frozen=True)
class ZoneNetworks:
    """One zone's part of a VPC. Nodes and pods stand in the private one."""

    zone: str
    private: str
    public: str


def cluster_name(project: str, stack: str) -> str:
    """The cluster's name in AWS: fixed, since tags, policies and kubeconfigs are made of it.

    Karpenter's objects are called so too, and must have small letters, digits and dashes; IAM's roles have 64
    characters, of which the longest suffix and Pulumi's own take 27. What does not fit has a mark of the whole.
    """
    whole = f"{project}-{stack}"
    plain = re.sub(r"[^a-z0-9-]+", "-", whole.lower()).strip("-")
    if plain == whole and len(whole) <= 36:
        return whole
    return f"{plain[:27].rstrip('-')}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def parted(cidr: str, zones: Sequence[str]) -> tuple[ZoneNetworks, ...]:
    """A VPC's network, parted for up to eight zones: the lower half is private, and the public ones have /24 at most.

    Always in eight parts, so that a zone more moves none of those that are there.
    """
    lower, upper = IPv4Network(cidr).subnets(1)
    private = list(lower.subnets(3))
    public = [next(each.subnets(new_prefix=max(24, each.prefixlen))) for each in upper.subnets(3)]
    return tuple(ZoneNetworks(zone, str(private[i]), str(public[i])) for i, zone in enumerate(zones[:8]))


def gpu_labels(pool: str, instance_type: str) -> Mapping[str, str]:
    """The labels of a GPU node.

    Without the first, the device plugin's DaemonSet wants no node, silently (values.yaml of chart 0.20.0). The second
    tells the cluster autoscaler to wait for the plugin instead of adding machines (its AWS README, 2026-08-22).
    """
    gpu = INSTANCES[instance_type].gpu.name.lower()
    return {"nvidia.com/gpu.present": "true", "k8s.amazonaws.com/accelerator": f"nvidia-{gpu}", POOL_LABEL: pool}


def per_zone(total: int, zones: Sequence[str]) -> Mapping[str, int]:
    """`total` nodes over the zones, as evenly as they go; the first ones have one more."""
    return {zone: total // len(zones) + (index < total % len(zones)) for index, zone in enumerate(zones)}
