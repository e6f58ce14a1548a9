"""`takeover:index:Endpoint` as a program writes it; the native provider in plugin/ makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from takeover.providers._base import EndpointSpec, TrainedModel

__all__ = ["Endpoint"]


# The outputs beside the inputs, as the engine spells them.
_OUTPUTS = (
    "url",
    "protocol",
    "model",
    "served",
    "digests",
    "apiKey",
    "regions",
    "replicasReady",
    "coldStartMeasuredMs",
    "healthy",
)


class Endpoint(pulumi.CustomResource):
    """An endpoint of a tier that has no Pulumi provider of its own; plugin/outputs.py says what the outputs are."""

    def __init__(
        self,
        name: str,
        *,
        provider: str,
        models: Sequence[TrainedModel],
        spec: EndpointSpec,
        options: Mapping[str, pulumi.Input[Any]] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`options` join the spec's: what other resources of the stack give, unknown before they are made."""
        told = spec.model_dump(mode="json", by_alias=True)
        inputs: dict[str, Any] = {
            "provider": provider,
            "models": [model.model_dump(mode="json", by_alias=True) for model in models],
            "spec": {**told, "options": {**told["options"], **(options or {})}},
        }
        secret = pulumi.ResourceOptions(additional_secret_outputs=["apiKey"])
        properties = {**inputs, **dict.fromkeys(_OUTPUTS)}
        super().__init__("takeover:index:Endpoint", name, properties, pulumi.ResourceOptions.merge(opts, secret))

    def _output(self, name: str) -> pulumi.Output[Any]:
        output: pulumi.Output[Any] = pulumi.get(self, name)
        return output

    @property
    def url(self) -> pulumi.Output[str]:
        return self._output("url")

    @property
    def protocol(self) -> pulumi.Output[str]:
        return self._output("protocol")

    @property
    def model(self) -> pulumi.Output[str]:
        """The served name of the default adapter."""
        return self._output("model")

    @property
    def digests(self) -> pulumi.Output[list[str]]:
        """What is really served, in the order of `models`."""
        return self._output("digests")

    @property
    def api_key(self) -> pulumi.Output[str]:
        """A secret."""
        return self._output("apiKey")

    @property
    def regions(self) -> pulumi.Output[list[str]]:
        return self._output("regions")

    @property
    def replicas_ready(self) -> pulumi.Output[int]:
        return self._output("replicasReady")

    @property
    def cold_start_measured_ms(self) -> pulumi.Output[int | None]:
        """From start to the first answer, measured when it was last started."""
        return self._output("coldStartMeasuredMs")
