"""What pods on a cluster of somebody's own cost: what its nodes cost, where a node selector says what these are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from takeover.planning._bill import hourly_plan, unknown_plan
from takeover.planning._plan import Plan
from takeover.planning.hardware import INSTANCES
from takeover.planning.prices import Prices, caveats, instance_price

if TYPE_CHECKING:
    from takeover.settings import Settings
    from takeover.settings._kubernetes import KubernetesOptions
    from takeover.tiers import Tier

__all__ = ["kubernetes_plan"]

_INSTANCE_LABEL, _REGION_LABEL = "node.kubernetes.io/instance-type", "topology.kubernetes.io/region"
_REGION = "us-east-1"


def kubernetes_plan(settings: Settings, tier: Tier, options: KubernetesOptions, prices: Prices) -> Plan:
    """The nodes' price on AWS where the node selector names their instance type; else who pays, and for how much."""
    least, most = settings.hosting.min_replicas, settings.hosting.max_replicas
    pods = f"{options.nodes} pods with {options.gpus}" if options.nodes > 1 else f"a pod with {options.gpus}"
    head = f"{tier.row}: {_count(least, most)} of {pods} x {options.gpu}"
    name = options.node_selector.get(_INSTANCE_LABEL, "")
    price = instance_price(prices, name, options.node_selector.get(_REGION_LABEL, _REGION))
    if price is None or name not in INSTANCES:
        said = f"{head}, on the bill of whoever owns the cluster: 0 USD here means that it is not known."
        return unknown_plan(said, f"A node selector {_INSTANCE_LABEL} with an EC2 type would give it a price.")
    share = options.nodes * options.gpus / INSTANCES[name].gpus
    return hourly_plan(
        f"{head} on {name} at {price.usd:.2f} USD an hour a machine, on the bill of whoever owns the cluster",
        settings.workload,
        fixed=0.0,
        unit=price.usd * share,
        least=least,
        most=most,
        more=caveats([price]),
    )


def _count(least: int, most: int) -> str:
    if least == most:
        return "one replica" if least == 1 else f"{least} replicas"
    return f"{least} to {most} replicas"
