"""What a tier's record holds, as types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

__all__ = ["ColdStartRange", "Feature", "Kind", "No", "Tier", "Yes"]


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
    # Where there is a choice: `takeover:hosting.cluster`, and `engine` among the tier's own options.
    clusters: Mapping[str, Yes | No] = field(default_factory=lambda: MappingProxyType({}))
    engines: Mapping[str, Yes | No] = field(default_factory=lambda: MappingProxyType({}))
    # Whether servers of a new version go on answering for the one before without being told to.
    keeps_previous: bool = True
    # The kind of cluster that this record is about, and the records of the other kinds, whose abilities differ.
    cluster: str | None = None
    variants: Mapping[str, Tier] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def row(self) -> str:
        """What tells the record from all others: its name, with the kind of cluster where there is a choice."""
        return f"{self.name}/{self.cluster}" if self.cluster else self.name

    def on(self, cluster: str | None) -> Tier:
        """The record for that kind of cluster; this one where it has no record of its own."""
        return self.variants.get(cluster or "", self)

    def answers(self, feature: Feature) -> bool:
        return isinstance(self.supports[feature], Yes)
