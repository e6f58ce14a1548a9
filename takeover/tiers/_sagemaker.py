"""The record of the tier `sagemaker`."""

from __future__ import annotations

from types import MappingProxyType

from takeover.tiers._record import ColdStartRange, Feature, Kind, No, Tier, Yes

SAGEMAKER = Tier(
    name="sagemaker",
    kind=Kind.MANAGED,
    summary="vLLM in an AWS container on a SageMaker endpoint, billed by the instance and hour",
    provider="takeover.providers.sagemaker:SageMakerProvider",
    component="components.sagemaker:SageMaker",
    environment_variables=("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    environments=("staging", "production"),
    cold_start=ColdStartRange(
        low_ms=300_000,
        high_ms=600_000,
        source="AWS's page on endpoints at zero instances (about 5 min) and one third party's 9 min 24 s",
        date="2026-11-24",
    ),
    autoscaling_signal="concurrent requests for each instance or copy, at high resolution",
    largest_rank=512,
    keeps_previous=False,
    supports=MappingProxyType(
        {
            Feature.MANY_ADAPTERS: Yes("as inference components on one endpoint"),
            Feature.RUNTIME_SWAP: No(
                "an adapter is part of the model that an endpoint configuration names",
                "blue and green: new instances take over after they answer; or inference components",
            ),
            Feature.SCALE_TO_ZERO: Yes("with inference components; while at zero every call fails"),
            Feature.REPLICAS: Yes("instances, in at least two zones from two on"),
            Feature.STREAMING: Yes("InvokeEndpointWithResponseStream"),
            Feature.LOGPROBS: Yes(),
            Feature.REGIONS: Yes("one for each stack: takeover:sagemaker.region"),
            Feature.WARM: Yes("with minReplicas above 0"),
            Feature.UNLIMITED_RATE: Yes("up to the account's quota of instances"),
            Feature.METRICS: Yes("CloudWatch, by the minute; no tokens and no queue"),
        }
    ),
)
