"""From an hour's costs to a month's plan, for tiers that are billed by the machine and the hour. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from takeover.planning._plan import Plan
from takeover.planning.prices import HOURS_PER_MONTH

if TYPE_CHECKING:
    from takeover.settings._models import Workload

__all__ = ["BUSY_HOURS", "hourly_plan", "unknown_plan"]

_DAYS = HOURS_PER_MONTH / 24
# In how many hours of a day the requests come, by `takeover:workload.pattern`.
BUSY_HOURS: Mapping[str, float] = MappingProxyType({"steady": 24.0, "diurnal": 12.0, "spiky": 4.0})


def hourly_plan(
    head: str,
    workload: Workload | None,
    *,
    fixed: float,
    unit: float,
    least: int,
    most: int,
    more: Iterable[str] = (),
) -> Plan:
    """The plan of `least` to `most` machines at `unit` US dollars an hour, and `fixed` beside them.

    The expected bill takes one machine to be enough for the workload: where fewer run at no traffic, it is there in
    the pattern's busy hours.
    """
    low, high = fixed + least * unit, fixed + most * unit
    awake = BUSY_HOURS[workload.pattern] / 24 if workload is not None else 0.0
    expected = low + max(1 - least, 0) * unit * awake
    tokens = 0.0 if workload is None else workload.requests_per_day * workload.tokens_per_request * _DAYS
    month = HOURS_PER_MONTH
    words = f"{head}; {low:.2f} USD an hour at no traffic, {high:.2f} at most;"
    words += f" {low * month:.0f} to {high * month:.0f} USD a month"
    words += (
        f", about {expected * month:.0f} as expected." if workload else "; takeover:workload would say where between."
    )
    return Plan(
        monthly_usd=round(expected * month, 2),
        floor_usd=round(low * month, 2),
        ceiling_usd=round(high * month, 2),
        per_million_tokens_usd=round(expected * month / tokens * 1e6, 4) if tokens else 0.0,
        sentences=(words, *more),
    )


def unknown_plan(*sentences: str) -> Plan:
    """A bill that nobody here can know: zeros, which the sentences must explain."""
    return Plan(monthly_usd=0.0, floor_usd=0.0, ceiling_usd=0.0, per_million_tokens_usd=0.0, sentences=sentences)
