"""SageMaker's own requests, as its API spells them. Pure; the provider sends them, the component says the same.

A configuration never changes: another one is another name, and the endpoint is pointed to it. Two versions of a model
are two models.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from takeover.planning.hardware import instance_named
from takeover.providers._base import TrainedModel
from takeover.sagemaker.container import Uri, build_container
from takeover.sagemaker.names import VARIANT, archive_key, base_component, component_name
from takeover.sagemaker.serving import Serving

__all__ = [
    "build_adapter_component",
    "build_base_component",
    "build_configuration",
    "build_deployment",
    "build_model",
    "build_variant",
    "build_vpc",
    "is_by_steps",
    "tags_of",
]

Request = dict[str, Any]
# How long the old fleet stays after the new one has all the traffic: the time for an alarm to call it back.
_BAKE_S = 300
_LONGEST_UPDATE_S = 3600


def tags_of(labels: Mapping[str, str]) -> list[dict[str, str]]:
    """The labels, below our own name; whose they are always among them."""
    own = {"managed-by": "takeover", **labels}
    return [{"Key": f"takeover:{key}", "Value": value} for key, value in sorted(own.items())]


def _fingerprint(request: Request) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:12]


def build_vpc(serving: Serving) -> dict[str, list[str]] | None:
    """The network of one's own, None for SageMaker's."""
    if not serving.options.subnets:
        return None
    return {
        "SecurityGroupIds": list(serving.options.security_groups),
        "Subnets": [subnet.id for subnet in serving.options.subnets],
    }


def build_model(serving: Serving, uri: Uri, role: str) -> Request:
    """CreateModel, named by its content."""
    request: Request = {
        "ExecutionRoleArn": role,
        "PrimaryContainer": build_container(serving, uri),
        "EnableNetworkIsolation": serving.options.is_isolated,
        "Tags": tags_of(serving.labels),
    }
    if (vpc := build_vpc(serving)) is not None:
        request["VpcConfig"] = vpc
    return {"ModelName": f"{serving.name}-{_fingerprint(request)}", **request}


def build_variant(serving: Serving, model: str | None) -> Request:
    """The one variant. Without a model it is a fleet that inference components are put on, which scales itself."""
    options = serving.options
    variant: Request = {
        "VariantName": VARIANT,
        "InstanceType": options.instance_type,
        "InitialInstanceCount": serving.first_count,
        "InferenceAmiVersion": options.ami_version,
        "ModelDataDownloadTimeoutInSeconds": options.download_timeout_seconds,
        "ContainerStartupHealthCheckTimeoutInSeconds": options.startup_timeout_seconds,
        "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
    }
    if model is not None:
        return {**variant, "ModelName": model, "InitialVariantWeight": 1.0}
    return {
        **variant,
        "ManagedInstanceScaling": {
            "Status": "ENABLED",
            "MinInstanceCount": serving.min_replicas,
            "MaxInstanceCount": serving.max_replicas,
        },
    }


def build_configuration(serving: Serving, model: str | None, role: str, *, capture_uri: str | None = None) -> Request:
    """CreateEndpointConfig, named by its content. `capture_uri` is where prompts and answers would go."""
    options = serving.options
    request: Request = {
        "ProductionVariants": [build_variant(serving, model)],
        "Tags": tags_of(serving.labels),
    }
    if options.volume_kms_key_arn is not None:
        request["KmsKeyId"] = options.volume_kms_key_arn
    if model is None:
        # With inference components the fleet pulls images and weights itself, in the role's name.
        request |= {"ExecutionRoleArn": role, "EnableNetworkIsolation": options.is_isolated}
        if (vpc := build_vpc(serving)) is not None:
            request["VpcConfig"] = vpc
    if capture_uri is not None and options.data_capture is not None:
        request["DataCaptureConfig"] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": options.data_capture.percent,
            "DestinationS3Uri": capture_uri,
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
            **({"KmsKeyId": options.bucket_kms_key_arn} if options.bucket_kms_key_arn else {}),
        }
    return {"EndpointConfigName": f"{serving.name}-{_fingerprint(request)}", **request}


def is_by_steps(serving: Serving) -> bool:
    """Whether a new version can get a part of the traffic first.

    A step is at most half of the fleet (TrafficRoutingConfig in SageMaker's API reference, read 2026-11-25): a fleet
    of one has no such part.
    """
    return serving.options.update.strategy in ("canary", "linear") and serving.first_count > 1


def build_deployment(serving: Serving, alarms: Sequence[Any]) -> Request:
    """DeploymentConfig of UpdateEndpoint: how the new fleet takes over, and the alarms that call the old one back."""
    update = serving.options.update
    share = {"Type": "CAPACITY_PERCENT", "Value": update.percent}
    rollback = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]}}
    if update.strategy == "rolling":
        policy = {
            "MaximumBatchSize": share,
            "WaitIntervalInSeconds": update.wait_seconds,
            "MaximumExecutionTimeoutInSeconds": _LONGEST_UPDATE_S + update.wait_seconds * 20,
            "RollbackMaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 100},
        }
        return {"RollingUpdatePolicy": policy, **(rollback if alarms else {})}
    routing: Request = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    if is_by_steps(serving):
        step = "CanarySize" if update.strategy == "canary" else "LinearStepSize"
        routing = {"Type": update.strategy.upper(), "WaitIntervalInSeconds": update.wait_seconds, step: share}
    policy = {
        "TrafficRoutingConfiguration": routing,
        "TerminationWaitInSeconds": _BAKE_S,
        "MaximumExecutionTimeoutInSeconds": min(28800, _LONGEST_UPDATE_S + update.wait_seconds * 10),
    }
    return {"BlueGreenUpdatePolicy": policy, **(rollback if alarms else {})}


def build_base_component(serving: Serving, model: str) -> Request:
    """CreateInferenceComponent of the base: all GPUs of an instance, so a copy is an instance."""
    return {
        "InferenceComponentName": base_component(serving.name),
        "EndpointName": serving.name,
        "VariantName": VARIANT,
        "Specification": {
            "ModelName": model,
            "StartupParameters": {
                "ModelDataDownloadTimeoutInSeconds": serving.options.download_timeout_seconds,
                "ContainerStartupHealthCheckTimeoutInSeconds": serving.options.startup_timeout_seconds,
            },
            "ComputeResourceRequirements": {
                "NumberOfAcceleratorDevicesRequired": float(instance_named(serving.options.instance_type).gpus),
                "MinMemoryRequiredInMb": serving.options.component_memory_mb,
            },
            # Two copies in two zones, where there are two.
            "SchedulingConfig": {
                "PlacementStrategy": "SPREAD",
                "AvailabilityZoneBalance": {"EnforcementMode": "PERMISSIVE", "MaxImbalance": 1},
            },
        },
        "RuntimeConfig": {"CopyCount": serving.first_count},
        "Tags": tags_of(serving.labels),
    }


def build_adapter_component(serving: Serving, served: TrainedModel, uri: Uri) -> Request:
    """CreateInferenceComponent of one adapter's version; compute and copies are the base's."""
    return {
        "InferenceComponentName": component_name(serving.name, served.served_name),
        "EndpointName": serving.name,
        "Specification": {
            "BaseInferenceComponentName": base_component(serving.name),
            "Container": {"ArtifactUrl": uri(archive_key(serving.name, served.digest))},
        },
        "Tags": [*tags_of(serving.labels), {"Key": "takeover:served", "Value": served.served_name}],
    }
