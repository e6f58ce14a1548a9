"""Names, and how a network is parted."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

import pytest

from components.eks.layout import ZoneNetworks, cluster_name, gpu_labels, parted, per_zone


@dataclass(frozen=True)
class Name:
    says: str
    project: str
    stack: str
    name: str


NAMES = (
    Name("as it is", "takeover", "prod", "takeover-prod"),
    Name("capitals and dots, which Karpenter does not take", "Takeover", "eu.prod", "takeover-eu-prod-f07149b1"),
    Name("longer than IAM takes", "takeover", "production-of-the-whole-company", "takeover-production-of-the-796120ed"),
)


@pytest.mark.parametrize("case", NAMES, ids=lambda case: case.says)
def test_a_cluster_s_name(case: Name) -> None:
    assert cluster_name(case.project, case.stack) == case.name
    assert len(f"{case.name}-cluster-autoscaler-0123456") <= 64


def test_two_stacks_never_share_a_cluster_s_name() -> None:
    assert cluster_name("a", "b.c") != cluster_name("a", "b-c")


def test_a_network_is_parted_into_private_and_public_ones() -> None:
    assert parted("10.64.0.0/16", ["a", "b", "c"]) == (
        ZoneNetworks("a", "10.64.0.0/20", "10.64.128.0/24"),
        ZoneNetworks("b", "10.64.16.0/20", "10.64.144.0/24"),
        ZoneNetworks("c", "10.64.32.0/20", "10.64.160.0/24"),
    )


@pytest.mark.parametrize("prefix", range(16, 21))
def test_no_part_of_a_network_overlaps_another_and_a_zone_more_moves_none(prefix: int) -> None:
    cidr = f"172.16.0.0/{prefix}"
    zones = [f"zone-{number}" for number in range(8)]
    found = [IPv4Network(each) for zone in parted(cidr, zones) for each in (zone.private, zone.public)]
    assert all(each.subnet_of(IPv4Network(cidr)) for each in found)
    assert [(a, b) for a in found for b in found if a is not b and a.overlaps(b)] == []
    assert parted(cidr, zones)[:2] == parted(cidr, zones[:2])


def test_nodes_are_spread_over_the_zones() -> None:
    assert per_zone(5, ["a", "b", "c"]) == {"a": 2, "b": 2, "c": 1}
    assert per_zone(0, ["a", "b"]) == {"a": 0, "b": 0}


def test_the_labels_of_a_gpu_node() -> None:
    assert gpu_labels("takeover-prod", "g6e.2xlarge") == {
        "nvidia.com/gpu.present": "true",
        "k8s.amazonaws.com/accelerator": "nvidia-l40s",
        "takeover.dev/pool": "takeover-prod",
    }
