"""Where an endpoint is and what it is made with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from takeover.errors import Refusals, Refused
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.sagemaker.serving import Serving, build_serving

__all__ = ["Place", "place_of", "region_of"]


@dataclass(frozen=True)
class Place:
    """What to serve, in whose name, and the bucket for its files. `uri` turns a key into an address."""

    serving: Serving
    role: str
    bucket: str

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"


def region_of(options: Mapping[str, Any]) -> str:
    """The region: of the settings, else AWS's own variable. Refused where nothing says it."""
    found = options.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not found:
        raise Refused("the region is not known", fix="Set takeover:sagemaker.region, or AWS_REGION.", where="region")
    return str(found)


def place_of(models: tuple[TrainedModel, ...], spec: EndpointSpec) -> Place:
    """Everything checked. Refusals with all that is missing or wrong."""
    missing = [
        Refused(
            f"takeover:sagemaker.{key} is not set",
            why="A stack makes its own; what is deployed without one brings its own.",
            fix=f"Name {what}.",
            where=f"takeover:sagemaker.{key}",
        )
        for key, what in (
            ("roleArn", "a role that SageMaker may take on"),
            ("bucket", "a bucket for the adapters' files, in the same region"),
        )
        if not spec.options.get(key)
    ]
    Refusals.raise_if_any(f"sagemaker cannot serve {spec.name}", missing)
    options = {**spec.options, "region": region_of(spec.options)}
    serving = build_serving(models, spec.model_copy(update={"options": options}))
    return Place(serving, str(options["roleArn"]), str(options["bucket"]))
