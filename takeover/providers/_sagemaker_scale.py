"""Scaling by hand: the bounds of what scales by load and the number that runs, so that neither undoes the other."""

from __future__ import annotations

from takeover.errors import Refused
from takeover.providers._sagemaker_api import Api
from takeover.providers._sagemaker_read import Found
from takeover.sagemaker.names import VARIANT, base_component
from takeover.sagemaker.scaling import scalable_of

__all__ = ["scale_to"]


async def scale_to(api: Api, found: Found, replicas: int) -> None:
    """Ask for so many; returns once accepted. Refused for none where the mode cannot."""
    if replicas == 0 and not found.has_components:
        raise Refused(
            f"{found.name} cannot be at zero",
            why="A variant with a model cannot go below one instance.",
            fix="Set takeover:sagemaker.mode: inference-components, or destroy it.",
            where="replicas",
        )
    scalable = scalable_of(found.name, has_components=found.has_components)
    told = await api.call(
        "application-autoscaling",
        "describe_scalable_targets",
        ServiceNamespace="sagemaker",
        ResourceIds=[scalable.resource_id],
        ScalableDimension=scalable.dimension,
    )
    for target in told.get("ScalableTargets") or ():
        await api.call(
            "application-autoscaling",
            "register_scalable_target",
            **scalable.key,
            MinCapacity=replicas,
            MaxCapacity=max(replicas, int(target["MaxCapacity"]), 1),
        )
    if found.has_components:
        await api.call(
            "sagemaker",
            "update_inference_component_runtime_config",
            InferenceComponentName=base_component(found.name),
            DesiredRuntimeConfig={"CopyCount": replicas},
        )
    else:
        wanted = {"VariantName": VARIANT, "DesiredInstanceCount": replicas}
        await api.call(
            "sagemaker",
            "update_endpoint_weights_and_capacities",
            EndpointName=found.name,
            DesiredWeightsAndCapacities=[wanted],
        )
