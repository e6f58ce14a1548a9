"""The stack output `endpoint`: one typed object, the same whatever the tier, that applications read.

The program exports what `build_outputs` gives; readers get an `EndpointOutputs`. Within schema version 1 fields may be
added, so a reader ignores what it does not know; a change of meaning takes a new version, which an old reader refuses.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema

from takeover.errors import Refused

if TYPE_CHECKING:
    from takeover.planning import Plan
    from takeover.providers._base import TrainedModel
    from takeover.tiers import Tier

__all__ = [
    "HIDDEN",
    "ColdStart",
    "EndpointOutputs",
    "PlanFigures",
    "Replicas",
    "ServedAdapter",
    "build_outputs",
    "example",
    "outputs_from_file",
    "parse_outputs",
    "save_outputs",
    "schema",
    "schema_text",
]

HIDDEN = "[secret]"
_WRITE = "Write them with `takeover outputs --json --show-secrets`."
# Without pydantic's own `writeOnly`: whoever may read the outputs may read the key.
ApiKey = Annotated[SecretStr, WithJsonSchema({"type": "string", "format": "password"})]
Protocol = Literal["openai", "sagemaker", "vertex", "replicate"]


class _Output(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
        json_schema_serialization_defaults_required=True,
    )


class ServedAdapter(_Output):
    """One adapter that the endpoint serves."""

    name: str = Field(description="The adapter's name, the same for all its versions.")
    model: str = Field(description="The name to ask for: the adapter's name, @, the first 12 digits of its digest.")
    digest: str = Field(description="The adapter's content: sha256: and 64 hexadecimal digits.")


class ColdStart(_Output):
    """From nothing to the first answer, in milliseconds."""

    expected_ms: int = Field(description="The longest to be expected, from the tier's record.")
    measured_ms: int | None = Field(None, description="What the last start took; null where it was not measured.")


class Replicas(_Output):
    """How many copies run. `ready` is null where the other side does not tell."""

    min: int
    max: int
    ready: int | None = None


class PlanFigures(_Output):
    """What it costs, in US dollars: a month as planned, at no traffic, at all replicas, per million tokens."""

    monthly_usd: float
    floor_usd: float
    ceiling_usd: float
    per_million_tokens_usd: float


class EndpointOutputs(_Output):
    """What an application needs to ask the endpoint, and what it costs."""

    schema_version: Literal[1] = 1
    provider: str = Field(description="The tier that serves it, a key of takeover.tiers.TIERS.")
    cluster: str | None = Field(None, description="The kind of cluster, where the tier has a choice.")
    url: str = Field(description="The base URL that an SDK of the protocol takes; for openai it ends in /v1.")
    protocol: Protocol = "openai"
    model: str = Field(description="The name to ask for where the caller names no adapter: that of the first one.")
    digest: str = Field(description="The content of that adapter.")
    adapters: tuple[ServedAdapter, ...] = Field(description="All adapters that are served; the first is `model`.")
    regions: tuple[str, ...] = ()
    api_key: ApiKey | None = Field(None, description="A secret: Pulumi keeps it encrypted. Null where none is asked.")
    cold_start: ColdStart
    replicas: Replicas
    plan: PlanFigures
    fallback: tuple[EndpointOutputs, ...] = Field(
        (), description="Where to ask when this one does not answer, in order."
    )

    def to_json(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """Plain JSON under the exported names; the keys read `[secret]` unless they are asked for."""
        plain: dict[str, Any] = self.model_dump(mode="json", exclude={"api_key", "fallback"})
        key = self.api_key.get_secret_value() if self.api_key is not None and show_secrets else HIDDEN
        plain["apiKey"] = None if self.api_key is None else key
        plain["fallback"] = [other.to_json(show_secrets=show_secrets) for other in self.fallback]
        return {(info.alias or name): plain[info.alias or name] for name, info in type(self).model_fields.items()}


def build_outputs(
    *,
    tier: Tier,
    models: Sequence[TrainedModel],
    plan: Plan,
    url: Any,
    api_key: Any,
    min_replicas: int,
    max_replicas: int,
    replicas_ready: Any = None,
    cold_start_measured_ms: Any = None,
    protocol: Any = "openai",
    regions: Any = (),
    fallback: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The object `endpoint` as it is exported. Pure.

    What is typed Any may be a `pulumi.Output`: it is put in its place, never looked at. `models` are all that is
    served, the first one the default; `url` is the base URL for an SDK (for openai it ends in /v1).
    """
    adapters = [{"name": each.name, "model": each.served_name, "digest": each.digest} for each in models]
    return {
        "schemaVersion": 1,
        "provider": tier.name,
        "cluster": tier.cluster,
        "url": url,
        "protocol": protocol,
        "model": models[0].served_name,
        "digest": models[0].digest,
        "adapters": adapters,
        "regions": list(regions) if isinstance(regions, (list, tuple)) else regions,
        "apiKey": api_key,
        "coldStart": {"expectedMs": tier.cold_start.high_ms, "measuredMs": cold_start_measured_ms},
        "replicas": {"min": min_replicas, "max": max_replicas, "ready": replicas_ready},
        "plan": {
            "monthlyUsd": plan.monthly_usd,
            "floorUsd": plan.floor_usd,
            "ceilingUsd": plan.ceiling_usd,
            "perMillionTokensUsd": plan.per_million_tokens_usd,
        },
        "fallback": [dict(other) for other in fallback],
    }


def parse_outputs(value: Any, *, where: str) -> EndpointOutputs:
    """The outputs from parsed JSON: the object itself, or a mapping of a stack's outputs that holds it as `endpoint`.

    `where` says where it came from (a file, a variable, a stack). Raises Refused; no value is quoted, for one is a key.
    """
    inner = value.get("endpoint", value) if isinstance(value, Mapping) else value
    if not isinstance(inner, Mapping):
        raise Refused("there is no endpoint object", fix=_WRITE, where=where)
    version = inner.get("schemaVersion")
    if version != 1:
        why = f"Its schemaVersion is {version!r}; this version of takeover reads 1."
        raise Refused("the outputs cannot be read", why=why, fix="Use the takeover that wrote them.", where=where)
    if inner.get("apiKey") == HIDDEN:
        raise Refused("the outputs hold no key: it was hidden when they were written", fix=_WRITE, where=where)
    try:
        return EndpointOutputs.model_validate(inner)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        wrong = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in details]
        raise Refused("the outputs cannot be read", why="; ".join(wrong), where=where) from None


def outputs_from_file(path: Path) -> EndpointOutputs:
    """The outputs of a file, as `save_outputs` or `takeover outputs --json --show-secrets` writes it; Refused else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused("the outputs cannot be read", why=f"{error.strerror}.", fix=_WRITE, where=str(path)) from None
    except ValueError:
        # The text may hold a key: it is never quoted.
        raise Refused("the outputs are no JSON", fix=_WRITE, where=str(path)) from None
    return parse_outputs(value, where=str(path))


def save_outputs(path: Path, outputs: EndpointOutputs) -> None:
    """Write the outputs with their keys, for the owner alone (mode 600); a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(outputs.to_json(show_secrets=True), file, indent=2)
            file.write("\n")
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def example() -> EndpointOutputs:
    """An example with every field, for documentation and for trying an application without an endpoint."""
    digest = "sha256:" + "3fa9c1d20b77" + "0" * 52
    model = "support-tone@3fa9c1d20b77"
    return EndpointOutputs(
        provider="local",
        url="http://127.0.0.1:8321/v1",
        model=model,
        digest=digest,
        adapters=(ServedAdapter(name="support-tone", model=model, digest=digest),),
        api_key=SecretStr("an-example-key"),
        cold_start=ColdStart(expected_ms=60_000, measured_ms=14_200),
        replicas=Replicas(min=1, max=1, ready=1),
        plan=PlanFigures(monthly_usd=0.0, floor_usd=0.0, ceiling_usd=0.0, per_million_tokens_usd=0.0),
    )


class _WithoutTitles(GenerateJsonSchema):
    """A title that repeats the field's name in other letters tells nothing."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of `endpoint` as it is exported: every field is there, null where there is no value."""
    made = EndpointOutputs.model_json_schema(mode="serialization", schema_generator=_WithoutTitles)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "endpoint", **made}


def schema_text() -> str:
    """`docs/outputs.schema.json`."""
    return json.dumps(schema(), indent=2) + "\n"
