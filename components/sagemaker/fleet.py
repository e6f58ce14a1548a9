"""Model, endpoint configuration, endpoint: the requests of takeover/sagemaker/requests.py in pulumi-aws's words.

The configuration has no name of ours: a change replaces it, the new one is made and pointed to before the old one goes.
With a fixed name the endpoint would not see the new one, or would lose the old one too early
(hashicorp/terraform-provider-aws#40048). For the same reason nothing here is deleted before it is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from components.sagemaker.storage import Storage
from takeover.sagemaker.container import build_container
from takeover.sagemaker.names import captured_prefix
from takeover.sagemaker.requests import build_configuration, build_deployment, build_vpc
from takeover.sagemaker.serving import Serving

__all__ = ["make_fleet", "words"]


def make_fleet(
    serving: Serving,
    storage: Storage,
    role: pulumi.Input[str],
    *,
    rollback: Sequence[pulumi.Input[str]],
    after: Sequence[pulumi.Resource],
    watched: Sequence[pulumi.Resource],
    here: pulumi.ResourceOptions,
) -> aws.sagemaker.Endpoint:
    """The endpoint, after files and rights, and after the alarms that an update of it is bound to."""
    unprotected = pulumi.ResourceOptions.merge(here, pulumi.ResourceOptions(protect=False))
    model = aws.sagemaker.Model(
        f"{serving.name}-model",
        execution_role_arn=role,
        primary_container=_container(build_container(serving, storage.uri)),
        enable_network_isolation=serving.options.is_isolated,
        vpc_config=words(build_vpc(serving)),
        opts=pulumi.ResourceOptions.merge(unprotected, pulumi.ResourceOptions(depends_on=list(after))),
    )
    capture = storage.uri(captured_prefix(serving.name)) if serving.options.data_capture else None
    # Its name and tags are the provider's: the model's name is not known yet, so neither is a name by content.
    request = build_configuration(serving, "model", "role", capture_uri="capture" if capture else None)
    configuration = aws.sagemaker.EndpointConfiguration(
        f"{serving.name}-configuration",
        production_variants=[_variant(request["ProductionVariants"][0], model.name)],
        data_capture_config=_capture(request.get("DataCaptureConfig"), capture),
        kms_key_arn=request.get("KmsKeyId"),
        opts=unprotected,
    )
    return aws.sagemaker.Endpoint(
        f"{serving.name}-endpoint",
        name=serving.name,
        endpoint_config_name=configuration.name,
        deployment_config=words(build_deployment(serving, rollback)),
        opts=pulumi.ResourceOptions.merge(here, pulumi.ResourceOptions(depends_on=list(watched))),
    )


def _container(container: Mapping[str, Any]) -> Any:
    """pulumi-aws holds the S3 sources in lists of one."""
    made: dict[str, Any] = {"image": container["Image"], "environment": container["Environment"]}
    if "ModelDataSource" in container:
        made["model_data_source"] = {"s3_data_sources": [_source(container["ModelDataSource"])]}
    made["additional_model_data_sources"] = [
        {"channel_name": each["ChannelName"], "s3_data_sources": [_source(each)]}
        for each in container["AdditionalModelDataSources"]
    ]
    return made


def _source(source: Mapping[str, Any]) -> dict[str, Any]:
    inner = source["S3DataSource"]
    return {"s3_uri": inner["S3Uri"], "s3_data_type": inner["S3DataType"], "compression_type": inner["CompressionType"]}


def _variant(variant: Mapping[str, Any], model: pulumi.Input[str]) -> Any:
    made = words({key: value for key, value in variant.items() if key not in ("RoutingConfig", "ModelName")})
    return {**made, "model_name": model, "routing_configs": [words(variant["RoutingConfig"])]}


def _capture(capture: Mapping[str, Any] | None, uri: pulumi.Input[str] | None) -> Any:
    return None if capture is None else {**words(capture), "destination_s3_uri": uri}


def words(request: Any) -> Any:
    """An API's request with pulumi's spelling of its names (`MaximumBatchSize` -> `maximum_batch_size`)."""
    if isinstance(request, Mapping):
        return {_snake(key): words(value) for key, value in request.items()}
    return [words(each) for each in request] if isinstance(request, list) else request


def _snake(name: str) -> str:
    special = {"DestinationS3Uri": "destination_s3_uri"}
    return special.get(name) or "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
