"""Where an endpoint is and what it is made with: the stack's settings, and variables where nothing else says it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from takeover.errors import Refusals, Refused
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.sagemaker.serving import Serving, build_serving

__all__ = ["Place", "place_of", "region_of"]

# Key of the settings -> variable, for `InferenceProvider`s that are driven without a stack.
_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "roleArn": ("TAKEOVER_SAGEMAKER_ROLE_ARN",),
    "bucket": ("TAKEOVER_SAGEMAKER_BUCKET",),
    "baseWeights": ("TAKEOVER_SAGEMAKER_BASE_WEIGHTS",),
}


@dataclass(frozen=True)
class Place:
    """What to serve, in whose name, and the bucket for its files. `uri` turns a key into an address."""

    serving: Serving
    role: str
    bucket: str

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"


def _value(options: Mapping[str, Any], key: str, environ: Mapping[str, str]) -> str | None:
    found = options.get(key) or next((environ[name] for name in _VARIABLES[key] if environ.get(name)), None)
    return str(found) if found else None


def region_of(options: Mapping[str, Any]) -> str:
    """The region; Refused where nothing says it."""
    found = _value(options, "region", os.environ)
    if found is None:
        raise Refused("the region is not known", fix="Set takeover:sagemaker.region, or AWS_REGION.", where="region")
    return found


def bucket_of(options: Mapping[str, Any]) -> str | None:
    """The bucket for adapters, as far as it is known."""
    return _value(options, "bucket", os.environ)


def place_of(models: tuple[TrainedModel, ...], spec: EndpointSpec) -> Place:
    """Everything checked. Refusals with all that is missing or wrong."""
    found = {key: _value(spec.options, key, os.environ) for key in _VARIABLES}
    missing = [
        Refused(
            f"takeover:sagemaker.{key} is not set",
            why="Without a stack nothing makes one.",
            fix=f"`takeover up` makes its own; else name yours, or set {_VARIABLES[key][0]}.",
            where=f"takeover:sagemaker.{key}",
        )
        for key in ("region", "roleArn", "bucket")
        if found[key] is None
    ]
    Refusals.raise_if_any(f"sagemaker cannot serve {spec.name}", missing)
    options = {**spec.options, **{key: value for key, value in found.items() if value is not None}}
    serving = build_serving(models, spec.model_copy(update={"options": options}))
    return Place(serving, str(found["roleArn"]), str(found["bucket"]))
