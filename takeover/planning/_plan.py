"""The plan of one stack: what it costs and why, in figures for programs and in words for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from takeover.tiers import Kind, Tier

if TYPE_CHECKING:
    from takeover.settings import Settings

__all__ = ["Plan", "plan"]


@dataclass(frozen=True)
class Plan:
    """Costs in US dollars; `per_million_tokens_usd` covers prompt and answer. `sentences` say the same to a person."""

    monthly_usd: float
    floor_usd: float
    ceiling_usd: float
    per_million_tokens_usd: float
    sentences: tuple[str, ...]


def plan(settings: Settings, tier: Tier) -> Plan:
    """The plan for `settings` on `tier`.

    Two things have no price of their own: the kind `local`, which runs on a machine that somebody owns already, and
    servers that run whether or not an adapter is loaded there.
    """
    if tier.kind is Kind.DEDICATED_GPU and settings.hosting.cluster in (None, "existing"):
        words = f"{tier.name}: {tier.summary}; 0 USD a month more: the servers run already, on a bill of their own."
        return Plan(monthly_usd=0.0, floor_usd=0.0, ceiling_usd=0.0, per_million_tokens_usd=0.0, sentences=(words,))
    if settings.modal is not None:
        from takeover.planning._modal import modal_plan

        return modal_plan(settings, tier, settings.modal)
    if tier.kind is not Kind.LOCAL:
        raise LookupError(f"no price rule for the kind {tier.kind.value!r} of the tier {tier.name!r}")
    words = f"{tier.name}: {tier.summary}; 0 USD a month, whatever the traffic."
    return Plan(monthly_usd=0.0, floor_usd=0.0, ceiling_usd=0.0, per_million_tokens_usd=0.0, sentences=(words,))
