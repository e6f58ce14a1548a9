"""What is there: read from SageMaker alone, so that any machine finds what any other one made."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import Any

from takeover.providers._sagemaker_api import Answer, Api
from takeover.sagemaker.container import base_of, static_adapters
from takeover.sagemaker.names import base_component, digest_in

__all__ = ["RETIRED", "Component", "Found", "components_of", "look", "tags_at"]

# The tag of an adapter's component that the next change of adapters removes.
RETIRED = "takeover:retired"
_OURS = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class Component:
    """One inference component; `served` is "" for the base's."""

    name: str
    arn: str
    status: str
    reason: str
    served: str
    uri: str
    model: str
    copies: int | None
    retired: bool

    @property
    def digest(self) -> str:
        return digest_in(self.uri) or ""


@dataclass(frozen=True)
class Found:
    """An endpoint as SageMaker has it."""

    name: str
    arn: str
    status: str
    reason: str
    configuration: str
    instance_type: str | None
    instances: int | None
    container: Answer = field(repr=False)
    components: tuple[Component, ...] = ()
    has_components: bool = False
    started_ms: int | None = None

    @property
    def base(self) -> str | None:
        return base_of(self.container)

    @property
    def served(self) -> dict[str, str]:
        """Served name -> digest of what really runs; versions on their way out are not among them."""
        if self.has_components:
            return {each.served: each.digest for each in self.components if each.served and not each.retired}
        return {name: digest_in(uri) or "" for name, uri in static_adapters(self.container).items()}

    @property
    def replicas(self) -> int | None:
        if not self.has_components:
            return self.instances
        return next((each.copies for each in self.components if not each.served), 0)

    @property
    def trouble(self) -> str:
        """Why it does not answer as it should; empty when it does."""
        if self.status not in {"InService", "Updating", "SystemUpdating"}:
            return f"the endpoint is {self.status}" + (f": {self.reason}" if self.reason else "")
        if self.has_components and not any(not each.served for each in self.components):
            return "the inference component of its base is gone"
        wrong = [each for each in self.components if each.status in {"Failed", "Deleting"} and not each.retired]
        return "; ".join(f"{each.name} is {each.status}: {each.reason}" for each in wrong)


async def look(api: Api, name: str) -> Found | None:
    """The endpoint with all that belongs to it, None when there is none."""
    told = await api.look("sagemaker", "describe_endpoint", EndpointName=name)
    if told is None:
        return None
    configuration = await api.look(
        "sagemaker", "describe_endpoint_config", EndpointConfigName=told.get("EndpointConfigName", name)
    )
    variant: Answer = (configuration or {}).get("ProductionVariants", [{}])[0]
    model, tags, components = await asyncio.gather(
        _model(api, variant.get("ModelName")), tags_at(api, told["EndpointArn"]), components_of(api, name)
    )
    is_by_components = bool(variant) and "ModelName" not in variant
    if is_by_components:
        base = next((each for each in components if not each.served), None)
        model = await _model(api, base.model if base else None)
    running: Answer = (told.get("ProductionVariants") or [{}])[0]
    started = tags.get("takeover:started-ms", "")
    return Found(
        name=name,
        arn=told["EndpointArn"],
        status=told["EndpointStatus"],
        reason=told.get("FailureReason", ""),
        configuration=told.get("EndpointConfigName", ""),
        instance_type=variant.get("InstanceType"),
        instances=running.get("CurrentInstanceCount"),
        container=model,
        components=components,
        has_components=is_by_components,
        started_ms=int(started) if started.isdigit() else None,
    )


async def _model(api: Api, name: str | None) -> Answer:
    told = await api.look("sagemaker", "describe_model", ModelName=name) if name else None
    found: Answer = (told or {}).get("PrimaryContainer") or {}
    return found


async def tags_at(api: Api, arn: str) -> dict[str, str]:
    tags = await api.all_pages("sagemaker", "list_tags", "Tags", ResourceArn=arn)
    return {tag["Key"]: tag["Value"] for tag in tags}


async def components_of(api: Api, endpoint: str) -> tuple[Component, ...]:
    """The endpoint's inference components, which outlive it."""
    listed = await api.all_pages(
        "sagemaker", "list_inference_components", "InferenceComponents", EndpointNameEquals=endpoint
    )
    found = await asyncio.gather(*(_component(api, each["InferenceComponentName"], endpoint) for each in listed))
    return tuple(each for each in found if each is not None)


async def _component(api: Api, name: str, endpoint: str) -> Component | None:
    told = await api.look("sagemaker", "describe_inference_component", InferenceComponentName=name)
    if told is None:
        return None
    tags = await tags_at(api, told["InferenceComponentArn"])
    specification: Answer = told.get("Specification") or {}
    return Component(
        name=name,
        arn=told["InferenceComponentArn"],
        status=told["InferenceComponentStatus"],
        reason=told.get("FailureReason", ""),
        served="" if name == base_component(endpoint) else tags.get("takeover:served", name),
        uri=(specification.get("Container") or {}).get("ArtifactUrl", ""),
        model=specification.get("ModelName", ""),
        copies=(told.get("RuntimeConfig") or {}).get("CurrentCopyCount"),
        retired=RETIRED in tags,
    )


async def ours(api: Api, name: str) -> tuple[list[str], list[str]]:
    """Configurations and models that a deploy of `name` has made: `<name>-<12 hex>`."""
    configurations, models = await asyncio.gather(
        api.all_pages("sagemaker", "list_endpoint_configs", "EndpointConfigs", NameContains=name),
        api.all_pages("sagemaker", "list_models", "Models", NameContains=name),
    )

    def named(items: list[Any], key: str) -> list[str]:
        start = f"{name}-"
        found = [str(item[key]) for item in items]
        return [each for each in found if each.startswith(start) and _OURS.fullmatch(each.removeprefix(start))]

    return named(configurations, "EndpointConfigName"), named(models, "ModelName")
