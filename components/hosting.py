"""What every tier's component takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi

from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.tiers import Tier

__all__ = ["Hosting", "HostingArgs"]


@dataclass(frozen=True)
class HostingArgs:
    """What to host: adapters on one base (the first is the default), as settled by the stack's settings."""

    tier: Tier
    models: tuple[TrainedModel, ...]
    spec: EndpointSpec


class Hosting(pulumi.ComponentResource):
    """The base of the components. Their type tokens (`takeover:hosting:<Tier>`) are in every URN and never change.

    A subclass is made with (name, args, opts) and sets the attributes below, of which the output `endpoint` is made.
    """

    url: pulumi.Output[str]
    protocol: pulumi.Output[str]
    api_key: pulumi.Output[Any]
    regions: pulumi.Output[list[str]]
    replicas_ready: pulumi.Output[int]
    cold_start_measured_ms: pulumi.Output[int | None]
