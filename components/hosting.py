"""What every tier's component takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi

from components.endpoint import Endpoint
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.tiers import Tier

__all__ = ["Hosting", "HostingArgs"]


@dataclass(frozen=True)
class HostingArgs:
    """What to host: adapters on one base (the first is the default), as settled by the stack's settings.

    `protect` is for what must not be deleted by mistake: the resource that is the endpoint.
    """

    tier: Tier
    models: tuple[TrainedModel, ...]
    spec: EndpointSpec
    protect: bool = False


class Hosting(pulumi.ComponentResource):
    """The base of the components. Their type tokens (`takeover:hosting:<Tier>`) are in every URN and never change.

    A subclass is made with (name, args, opts) and sets the attributes below, of which the output `endpoint` is made;
    where it is one resource of the native provider, `_answered_by` sets them all.
    """

    url: pulumi.Output[str]
    protocol: pulumi.Output[str]
    api_key: pulumi.Output[Any]
    regions: pulumi.Output[list[str]]
    replicas_ready: pulumi.Output[int]
    cold_start_measured_ms: pulumi.Output[int | None]

    def _answered_by(self, endpoint: Endpoint) -> None:
        self.url = endpoint.url
        self.protocol = endpoint.protocol
        self.api_key = endpoint.api_key
        self.regions = endpoint.regions
        self.replicas_ready = endpoint.replicas_ready
        self.cold_start_measured_ms = endpoint.cold_start_measured_ms
        self.register_outputs({"url": self.url, "model": endpoint.model})
