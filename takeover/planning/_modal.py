"""What an endpoint on Modal costs: its GPU by the second, for as long as a container is there. Pure.

Prices: modal.com/pricing as recorded 2026-10-22 in PyPI modal-toolkit 1.10.16, those of A100 and RTX PRO 6000 read
there 2026-09-01 and 2026-10-04 by third parties. Processor and memory are billed on top and are not in these figures.
Regions: modal.com/docs/guide/region-selection.md, 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from takeover.planning._plan import Plan

if TYPE_CHECKING:
    from takeover.settings import ModalOptions, Settings
    from takeover.settings._models import Workload
    from takeover.tiers import Tier

__all__ = ["awake_hours", "modal_plan"]

_USD_PER_SECOND: Mapping[str, float] = MappingProxyType(
    {
        "T4": 0.000164,
        "L4": 0.000222,
        "A10": 0.000306,
        "L40S": 0.000542,
        "A100": 0.000583,
        "A100-40GB": 0.000583,
        "A100-80GB": 0.000694,
        "RTX-PRO-6000": 0.000842,
        "H100": 0.001097,
        "H200": 0.001261,
        "B200": 0.001736,
    }
)
_BROAD_REGIONS = {"us", "eu", "ap"}
_DAYS = 30.0
# In how many hours of a day the requests come, by `takeover:workload.pattern`.
_BUSY_HOURS: Mapping[str, float] = MappingProxyType({"steady": 24.0, "diurnal": 12.0, "spiky": 4.0})


def modal_plan(settings: Settings, tier: Tier, options: ModalOptions) -> Plan:
    """The bill: at no traffic, with all containers all month, and as `takeover:workload` expects it."""
    hourly = _hourly_usd(options)
    month = 24 * _DAYS * hourly
    floor, ceiling = settings.hosting.min_replicas * month, settings.hosting.max_replicas * month
    workload = settings.workload
    spent = floor if workload is None else max(floor, awake_hours(workload, options) * _DAYS * hourly)
    tokens = 0 if workload is None else workload.requests_per_day * workload.tokens_per_request * _DAYS
    said = f"{tier.name}: {options.gpu} at {hourly:.2f} USD an hour while a container is there; {floor:.0f} USD a month"
    expects = f"about {spent:.0f} as expected" if workload else "takeover:workload would say how much more"
    return Plan(
        monthly_usd=round(spent, 2),
        floor_usd=round(floor, 2),
        ceiling_usd=round(ceiling, 2),
        per_million_tokens_usd=round(spent / tokens * 1e6, 4) if tokens else 0.0,
        sentences=(f"{said} at no traffic, {ceiling:.0f} at most, {expects}; processor and memory come on top.",),
    )


def _hourly_usd(options: ModalOptions) -> float:
    name, _, count = options.gpu.partition(":")
    factor = 1.0 if not options.regions else 1.5 if set(options.regions) <= _BROAD_REGIONS else 1.75
    return _USD_PER_SECOND[name.rstrip("!+")] * 3600 * int(count or 1) * factor


def awake_hours(workload: Workload, options: ModalOptions) -> float:
    """Hours of a day in which one container is there: it stays for the scale-down window after each request.

    Requests are taken as evenly spread over the pattern's busy hours; closer together than the window they keep it
    awake for all of these, and one container is taken to be enough.
    """
    busy = _BUSY_HOURS[workload.pattern]
    alone = workload.requests_per_day * options.scaledown_window_seconds / 3600
    return min(busy, alone)
