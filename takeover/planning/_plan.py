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

    A tier of the kind `local` is the only one without a price: it runs on a machine that somebody owns already.
    """
    if tier.kind is not Kind.LOCAL:
        raise LookupError(f"no price rule for the kind {tier.kind.value!r} of the tier {tier.name!r}")
    words = f"{tier.name}: {tier.summary}; 0 USD a month, whatever the traffic."
    return Plan(monthly_usd=0.0, floor_usd=0.0, ceiling_usd=0.0, per_million_tokens_usd=0.0, sentences=(words,))
