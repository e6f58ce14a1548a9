"""What every tier's component takes and gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi

from components.endpoint import Endpoint
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.tiers import Tier

if TYPE_CHECKING:
    from takeover.settings import Settings

__all__ = ["Hosting", "HostingArgs"]


@dataclass(frozen=True)
class HostingArgs:
    """What to host: adapters on one base (the first is the default), as settled by the stack's settings.

    `protect` is for what must not be deleted by mistake: the resource that is the endpoint. `settings` are the
    whole stack's.
    """

    tier: Tier
    models: tuple[TrainedModel, ...]
    spec: EndpointSpec
    protect: bool = False
    settings: Settings | None = None


class Hosting(pulumi.ComponentResource):
    """The base of the components. Their type tokens (`takeover:hosting:<Tier>`) are in every URN and never change.

    A subclass is made with (name, args, opts) and sets the attributes below, of which the output `endpoint` is made:
    by `_answered_by` where one resource of the native provider is the endpoint, else by `_declared`.
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

    def _declared(
        self,
        args: HostingArgs,
        *,
        url: pulumi.Input[str],
        protocol: str,
        api_key: pulumi.Input[Any] = None,
        regions: Sequence[pulumi.Input[str]] = (),
        replicas_ready: pulumi.Input[Any] = None,
        found_out: Mapping[str, pulumi.Input[str]] | None = None,
    ) -> None:
        """For an endpoint that is made of a cloud's own resources, with none of the native provider.

        The component's outputs tell `takeover status` and the like what was asked for (takeover/engine/running.py reads
        them). `found_out` are options that are known only once something is made: which cluster it is.
        """
        self.url = pulumi.Output.from_input(url)
        self.protocol = pulumi.Output.from_input(protocol)
        self.api_key = pulumi.Output.from_input(api_key)
        self.regions = pulumi.Output.all(*regions)
        self.replicas_ready = pulumi.Output.from_input(replicas_ready)
        self.cold_start_measured_ms = pulumi.Output.from_input(None)
        spec = args.spec.model_dump(mode="json", by_alias=True)
        self.register_outputs(
            {
                "url": self.url,
                "model": args.models[0].served_name,
                "provider": args.tier.name,
                "models": [model.model_dump(mode="json", by_alias=True) for model in args.models],
                "spec": {**spec, "options": {**spec["options"], **(found_out or {})}},
            }
        )
