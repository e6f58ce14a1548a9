"""The registry: what each tier can and cannot do. Literal data; everything else reads it, nothing repeats it.

The settings' choices, the CLI's, the preview's errors, the documentation's matrix and the conformance suite's rows are
computed from `TIERS`. A record names its modules as text, so that no cloud SDK is imported but the chosen tier's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from takeover.errors import Refused
from takeover.tiers._dedicated_vllm import DEDICATED_VLLM
from takeover.tiers._local import LOCAL
from takeover.tiers._modal import MODAL
from takeover.tiers._record import ColdStartRange, Feature, Kind, No, Tier, Yes
from takeover.tiers._sagemaker import SAGEMAKER

__all__ = ["TIERS", "ColdStartRange", "Feature", "Kind", "No", "Tier", "Yes", "all_tiers", "tier"]

TIERS: Mapping[str, Tier] = MappingProxyType(
    {record.name: record for record in (LOCAL, MODAL, DEDICATED_VLLM, SAGEMAKER)}
)


def tier(name: str, cluster: str | None = None) -> Tier:
    """The record of `name`, for that kind of cluster; Refused, with the names there are, when it is none."""
    try:
        return TIERS[name].on(cluster)
    except KeyError:
        raise Refused(
            f"there is no tier {name!r}", why=f"Built so far: {', '.join(TIERS)}.", fix="Choose one of these."
        ) from None


def all_tiers(tiers: Mapping[str, Tier] = TIERS) -> tuple[Tier, ...]:
    """Every record, those of the kinds of cluster as rows of their own."""
    return tuple(each for record in tiers.values() for each in (record, *record.variants.values()))
