"""What most worlds have in common."""

from __future__ import annotations

from takeover.providers._base import EndpointSpec, TrainedModel

__all__ = ["AsMade"]


class AsMade:
    """A tier that takes an adapter's folder and any base as they are."""

    def dressed(self, model: TrainedModel) -> TrainedModel:
        return model

    def wanted(self, spec: EndpointSpec) -> EndpointSpec:
        return spec
