"""The package's schema, for `pulumi package get-schema` and whoever generates an SDK from it."""

from __future__ import annotations

import json
from typing import Any

from takeover.providers._base import EndpointSpec, TrainedModel

__all__ = ["RESOURCE_TYPE", "schema_json"]

RESOURCE_TYPE = "takeover:index:Endpoint"

_OUTPUTS: dict[str, Any] = {
    "url": {"type": "string", "description": "Where it answers; for OpenAI's protocol the base URL, with /v1."},
    "protocol": {"type": "string", "description": "openai, sagemaker, vertex or replicate."},
    "model": {"type": "string", "description": "The served name of the default adapter."},
    "served": {"type": "array", "items": {"type": "string"}, "description": "The served names, the default first."},
    "digests": {"type": "array", "items": {"type": "string"}, "description": "What is really served."},
    "apiKey": {"type": "string", "secret": True, "description": "The bearer key."},
    "regions": {"type": "array", "items": {"type": "string"}},
    "replicasReady": {"type": "integer"},
    "coldStartMeasuredMs": {
        "type": "integer",
        "description": "From start to the first answer, when it was last started.",
    },
    "healthy": {"type": "boolean", "description": "Whether it answered when it was last looked at."},
}
_REQUIRED_OUTPUTS = ["apiKey", "digests", "healthy", "model", "protocol", "served", "url"]


def schema_json(version: str) -> str:
    inputs = {
        "provider": {"type": "string", "description": "A tier's name (takeover/tiers/).", "replaceOnChanges": True},
        "models": {"type": "array", "items": _reference("TrainedModel")},
        "spec": _reference("EndpointSpec"),
    }
    resource = {
        "description": "An endpoint that serves LoRA adapters on one base.",
        "inputProperties": inputs,
        "requiredInputs": sorted(inputs),
        "properties": inputs | _OUTPUTS,
        "required": sorted([*inputs, *_REQUIRED_OUTPUTS]),
    }
    types = {f"takeover:index:{kind.__name__}": _type(kind) for kind in (EndpointSpec, TrainedModel)}
    return json.dumps({"name": "takeover", "version": version, "resources": {RESOURCE_TYPE: resource}, "types": types})


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/types/takeover:index:{name}"}


def _type(kind: type[EndpointSpec] | type[TrainedModel]) -> dict[str, Any]:
    described = kind.model_json_schema(by_alias=True)
    return {
        "type": "object",
        "description": (kind.__doc__ or "").split("\n")[0],
        "properties": {name: _property(field) for name, field in described["properties"].items()},
        "required": sorted(described.get("required", [])),
    }


def _property(field: dict[str, Any]) -> dict[str, Any]:
    """JSON Schema's description of a field in the words of Pulumi's."""
    if field["type"] != "object":
        return {"type": field["type"]}
    values = field.get("additionalProperties")
    text = isinstance(values, dict) and values.get("type") == "string"
    return {"type": "object", "additionalProperties": {"type": "string"} if text else {"$ref": "pulumi.json#/Any"}}
