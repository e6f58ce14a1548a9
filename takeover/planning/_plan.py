"""The plan of one stack: what it costs and why, in figures for programs and in words for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from takeover.settings import Settings
    from takeover.settings._eks import EksOptions
    from takeover.tiers import Tier

__all__ = ["Plan", "plan", "plan_of_cluster"]


@dataclass(frozen=True)
class Plan:
    """Costs in US dollars; `per_million_tokens_usd` covers prompt and answer. `sentences` say the same to a person."""

    monthly_usd: float
    floor_usd: float
    ceiling_usd: float
    per_million_tokens_usd: float
    sentences: tuple[str, ...]


def plan(settings: Settings, tier: Tier) -> Plan:
    """The plan for `settings` on `tier`, by the rule of that tier and its kind of cluster."""
    rule = _RULES.get(tier.row)
    if rule is None:
        raise LookupError(f"no price rule for the tier {tier.row!r}")
    return rule(settings, tier)


def plan_of_cluster(options: EksOptions) -> Plan:
    """The plan for a stack that makes an EKS cluster and serves nothing (`takeover:eks` with `role: cluster`)."""
    from takeover.planning._aws import cluster_plan
    from takeover.planning.prices import aws_prices

    return cluster_plan(options, aws_prices())


def _owned(settings: Settings, tier: Tier) -> Plan:
    """On a machine that somebody owns already."""
    return _free(f"{tier.name}: {tier.summary}; 0 USD a month, whatever the traffic.")


def _existing(settings: Settings, tier: Tier) -> Plan:
    """On servers that run whether or not an adapter is loaded there."""
    return _free(f"{tier.name}: {tier.summary}; 0 USD a month more: the servers run already, on a bill of their own.")


def _free(*words: str) -> Plan:
    return Plan(monthly_usd=0.0, floor_usd=0.0, ceiling_usd=0.0, per_million_tokens_usd=0.0, sentences=words)


def _modal(settings: Settings, tier: Tier) -> Plan:
    from takeover.planning._modal import modal_plan

    assert settings.modal is not None, "the settings of this tier have these options"
    return modal_plan(settings, tier, settings.modal)


def _kubernetes(settings: Settings, tier: Tier) -> Plan:
    from takeover.planning._kubernetes import kubernetes_plan
    from takeover.planning.prices import aws_prices

    assert settings.kubernetes is not None, "the settings of this tier have these options"
    return kubernetes_plan(settings, tier, settings.kubernetes, aws_prices())


def _eks(settings: Settings, tier: Tier) -> Plan:
    from takeover.planning._aws import eks_plan
    from takeover.planning.prices import aws_prices

    assert settings.kubernetes is not None, "the settings of this tier have these options"
    assert settings.eks is not None, "the settings of this tier have these options"
    return eks_plan(settings, tier, settings.kubernetes, settings.eks, aws_prices())


def _sagemaker(settings: Settings, tier: Tier) -> Plan:
    from takeover.planning._aws import sagemaker_plan
    from takeover.planning.prices import aws_prices

    assert settings.sagemaker is not None, "the settings of this tier have these options"
    return sagemaker_plan(settings, tier, settings.sagemaker, aws_prices())


_RULES: Mapping[str, Callable[[Settings, Tier], Plan]] = MappingProxyType(
    {
        "local": _owned,
        "modal": _modal,
        "dedicated-vllm/existing": _existing,
        "dedicated-vllm/kubernetes": _kubernetes,
        "dedicated-vllm/eks": _eks,
        "sagemaker": _sagemaker,
    }
)
