"""What AWS bills for a stack on EKS and for a SageMaker endpoint, by the hour. Pure: the prices are passed in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from takeover.planning._bill import hourly_plan, unknown_plan
from takeover.planning._plan import Plan
from takeover.planning.hardware import INSTANCES
from takeover.planning.prices import HOURS_PER_MONTH, Price, Prices, caveats, instance_price

if TYPE_CHECKING:
    from takeover.settings import Settings
    from takeover.settings._eks import EksOptions
    from takeover.settings._kubernetes import KubernetesOptions
    from takeover.settings._sagemaker import SageMakerOptions
    from takeover.tiers import Tier

__all__ = ["cluster_hourly_usd", "cluster_plan", "eks_plan", "sagemaker_plan"]

_ADDRESS = "public-ipv4-hour"
_ZONES = 3  # of a VPC of the stack's own, where `takeover:eks.zones` names none
_ON_TOP = "Traffic out of AWS, logs and S3 come on top."
_NOT_RECORDED = "prices/aws.toml has no price of {name}: 0 USD here means that it is not known."


def eks_plan(settings: Settings, tier: Tier, pods: KubernetesOptions, eks: EksOptions, prices: Prices) -> Plan:
    """GPU nodes with their disks, a load balancer, and the cluster itself unless another stack makes it.

    At least as many nodes run as `takeover:eks.nodes.min` says, or as the least replicas need.
    """
    name = str(eks.instance_type)
    price = instance_price(prices, name, eks.region)
    if price is None or name not in INSTANCES:
        return unknown_plan(f"{tier.row}: {_NOT_RECORDED.format(name=name)}")
    disk = eks.disk.size_gib * prices.usd("storage", "ebs-gp3", eks.region) / HOURS_PER_MONTH
    least = max(eks.nodes.min, _nodes(settings.hosting.min_replicas, pods, name))
    most = max(least, min(eks.nodes.max, _nodes(settings.hosting.max_replicas, pods, name)))
    balancer = _balancer_hourly(eks, prices)
    cluster = 0.0 if eks.cluster_stack else cluster_hourly_usd(eks, prices)
    system = None if eks.cluster_stack else instance_price(prices, eks.system_instance_type, eks.region)
    more = [_beside(eks, balancer, cluster), *caveats([price, system])]
    if eks.capacity_type == "SPOT":
        more.append("Spot costs less than these on-demand prices, as it pleases the market, and can be taken back.")
    return hourly_plan(
        f"{tier.row}: {least} to {most} x {name} ({INSTANCES[name].gpus} x {INSTANCES[name].gpu.name}) at"
        f" {price.usd:.2f} USD an hour, {eks.disk.size_gib} GiB of disk each",
        settings.workload,
        fixed=balancer + cluster,
        unit=price.usd + disk,
        least=least,
        most=most,
        more=more,
    )


def sagemaker_plan(settings: Settings, tier: Tier, options: SageMakerOptions, prices: Prices) -> Plan:
    """Instances by the hour, whether or not anybody asks; zero only where inference components scale to it."""
    name = options.instance_type
    price = instance_price(prices, name, options.region)
    if price is None:
        return unknown_plan(f"{tier.row}: {_NOT_RECORDED.format(name=name)}")
    machine = INSTANCES[name]
    more = list(caveats([price]))
    if options.update.strategy != "rolling" and not options.has_components:
        more.append("During an update the old instances and the new ones run, and are billed, side by side.")
    return hourly_plan(
        f"{tier.row}: {name} ({machine.gpus} x {machine.gpu.name}) at {price.usd:.2f} USD an hour",
        settings.workload,
        fixed=0.0,
        unit=price.usd,
        least=settings.hosting.min_replicas,
        most=settings.hosting.max_replicas,
        more=more,
    )


def cluster_plan(eks: EksOptions, prices: Prices) -> Plan:
    """A cluster for other stacks, which serves nothing itself: the same bill in every hour."""
    hour = cluster_hourly_usd(eks, prices)
    month = round(hour * HOURS_PER_MONTH, 2)
    system = instance_price(prices, eks.system_instance_type, eks.region)
    words = f"eks: {hour:.2f} USD an hour, {month:.0f} a month, for {_cluster_in_words(eks)}. {_ON_TOP}"
    return Plan(month, month, month, 0.0, (words, *caveats([system])))


def cluster_hourly_usd(eks: EksOptions, prices: Prices) -> float:
    """An hour of the cluster with nothing on it: control plane, system nodes, and ways out of a VPC of its own.

    The control plane at the price of a version under standard support; a version past that costs six times as much.
    """
    region = eks.region
    system: Price | None = instance_price(prices, eks.system_instance_type, region)
    nodes = eks.system_nodes * system.usd if system is not None else 0.0
    zones = len(eks.zones) or _ZONES
    gateways = 0 if eks.vpc.vpc_id else zones if eks.vpc.nat_per_zone else 1
    nat = gateways * (prices.usd("network", "nat-gateway-hour", region) + prices.usd("network", _ADDRESS, region))
    return prices.usd("eks", "cluster-standard-support", region) + nodes + nat


def _balancer_hourly(eks: EksOptions, prices: Prices) -> float:
    """An application load balancer with one capacity unit, and a public address in each zone where it faces outward."""
    if eks.scheme == "none":
        return 0.0
    addresses = (len(eks.zones) or _ZONES) if eks.scheme == "internet-facing" else 0
    hour = prices.usd("network", "alb-hour", eks.region) + prices.usd("network", "alb-lcu-hour", eks.region)
    return hour + addresses * prices.usd("network", _ADDRESS, eks.region)


def _nodes(replicas: int, pods: KubernetesOptions, name: str) -> int:
    """Machines that so many replicas fill; a replica of several pods has one pod on each machine."""
    if pods.nodes > 1:
        return replicas * pods.nodes
    return math.ceil(replicas / max(INSTANCES[name].gpus // pods.gpus, 1))


def _beside(eks: EksOptions, balancer: float, cluster: float) -> str:
    parts = [f"{balancer:.2f} for the load balancer"] if balancer else []
    if not eks.cluster_stack:
        parts.append(f"{cluster:.2f} for {_cluster_in_words(eks)}")
    said = f"Of each hour {' and '.join(parts)}. " if parts else ""
    elsewhere = f"The cluster itself is on the bill of {eks.cluster_stack}. " if eks.cluster_stack else ""
    return f"{said}{elsewhere}{_ON_TOP}"


def _cluster_in_words(eks: EksOptions) -> str:
    return f"the control plane, its {eks.system_nodes} system nodes and the ways out"
