"""The registry: what each tier can and cannot do. Literal data; everything else reads it, nothing repeats it.

The settings' choices, the CLI's, the preview's errors, the documentation's matrix and the conformance suite's rows are
computed from `TIERS`. A record names its modules as text, so that no cloud SDK is imported but the chosen tier's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from takeover.errors import Refused

__all__ = ["TIERS", "ColdStartRange", "Feature", "Kind", "No", "Tier", "Yes", "tier"]


class Kind(StrEnum):
    LOCAL = "local"
    SERVERLESS_GPU = "serverless GPU"
    DEDICATED_GPU = "dedicated GPU"
    MANAGED = "managed"


class Feature(StrEnum):
    """What a stack may ask of a tier. Every tier answers each of these, with Yes or with No and the way round."""

    MANY_ADAPTERS = "several adapters on one base"
    RUNTIME_SWAP = "change of adapter without a restart"
    SCALE_TO_ZERO = "scale to zero"
    REPLICAS = "more than one replica"
    STREAMING = "streaming"
    LOGPROBS = "token log-probabilities"
    REGIONS = "choice of region"
    WARM = "always warm"
    UNLIMITED_RATE = "no rate limit of the vendor's"
    METRICS = "metrics"


@dataclass(frozen=True)
class Yes:
    note: str = ""


@dataclass(frozen=True)
class No:
    reason: str
    instead: str


@dataclass(frozen=True)
class ColdStartRange:
    """From nothing to the first answer, in milliseconds, with the source of the figures and its date."""

    low_ms: int
    high_ms: int
    source: str
    date: str


@dataclass(frozen=True)
class Tier:
    """One hosting tier. `provider` and `component` are `module:attribute`, loaded only when the tier is chosen."""

    name: str
    kind: Kind
    summary: str
    provider: str
    component: str
    environment_variables: tuple[str, ...]
    environments: tuple[str, ...]
    cold_start: ColdStartRange
    autoscaling_signal: str
    largest_rank: int
    supports: Mapping[Feature, Yes | No]

    def answers(self, feature: Feature) -> bool:
        return isinstance(self.supports[feature], Yes)


_LOCAL = Tier(
    name="local",
    kind=Kind.LOCAL,
    summary="a process on this machine; costs nothing, serves one laptop",
    provider="takeover.providers.local:LocalProvider",
    component="components.local:LocalHosting",
    environment_variables=(),
    environments=("development",),
    cold_start=ColdStartRange(
        low_ms=8_000,
        high_ms=60_000,
        source="benchmarks/: process start to the first answer, SmolLM2-135M on two cores",
        date="2026-11-24",
    ),
    autoscaling_signal="none",
    largest_rank=512,
    supports=MappingProxyType(
        {
            Feature.MANY_ADAPTERS: Yes("mixed in one batch"),
            Feature.RUNTIME_SWAP: Yes("the new version is loaded beside the old one"),
            Feature.SCALE_TO_ZERO: No("a local process runs until it is taken down", "`takeover destroy`"),
            Feature.REPLICAS: No("one process serves one machine", "a dedicated or serverless tier"),
            Feature.STREAMING: Yes(),
            Feature.LOGPROBS: No("the local server does not compute them", "a vLLM tier"),
            Feature.REGIONS: No("it runs on this machine", "a tier in a cloud"),
            Feature.WARM: Yes("while the machine is on"),
            Feature.UNLIMITED_RATE: Yes("a bounded queue answers 429 when it is full"),
            Feature.METRICS: Yes("Prometheus, under vLLM's names"),
        }
    ),
)

TIERS: Mapping[str, Tier] = MappingProxyType({record.name: record for record in (_LOCAL,)})


def tier(name: str) -> Tier:
    """The record of `name`; Refused, with the names there are, when it is none."""
    try:
        return TIERS[name]
    except KeyError:
        raise Refused(
            f"there is no tier {name!r}", why=f"Built so far: {', '.join(TIERS)}.", fix="Choose one of these."
        ) from None
