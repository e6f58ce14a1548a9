"""Application Auto Scaling: how many instances, or copies of the base, by the requests at work. Pure.

Facts: docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-zero-instances.html and AWS's notebook
scale_down_to_zero.ipynb, read 2026-11-24. High-resolution metrics scale out after some 30 s, in after 15 minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from takeover.sagemaker.names import VARIANT, base_component
from takeover.sagemaker.serving import Serving

__all__ = ["Scalable", "build_step_policy", "build_target", "build_tracking_policy", "scalable_of"]

Request = dict[str, Any]
_NAMESPACE = "sagemaker"


@dataclass(frozen=True)
class Scalable:
    """What is scaled: a variant's instances, or a component's copies."""

    resource_id: str
    dimension: str
    metric: str

    @property
    def key(self) -> Request:
        """The three fields that every call names it by."""
        return {
            "ServiceNamespace": _NAMESPACE,
            "ResourceId": self.resource_id,
            "ScalableDimension": self.dimension,
        }


def scalable_of(endpoint: str, *, has_components: bool) -> Scalable:
    """By copies where there are inference components: SageMaker then brings the instances for them itself."""
    if has_components:
        return Scalable(
            f"inference-component/{base_component(endpoint)}",
            "sagemaker:inference-component:DesiredCopyCount",
            "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution",
        )
    return Scalable(
        f"endpoint/{endpoint}/variant/{VARIANT}",
        "sagemaker:variant:DesiredInstanceCount",
        "SageMakerVariantConcurrentRequestsPerModelHighResolution",
    )


def build_target(serving: Serving) -> Request:
    """RegisterScalableTarget."""
    scalable = scalable_of(serving.name, has_components=serving.options.has_components)
    return {**scalable.key, "MinCapacity": serving.min_replicas, "MaxCapacity": serving.max_replicas}


def build_tracking_policy(serving: Serving) -> Request:
    """PutScalingPolicy: so many requests at work for each instance or copy. The service makes its alarms itself."""
    scalable = scalable_of(serving.name, has_components=serving.options.has_components)
    return {
        **scalable.key,
        "PolicyName": f"{serving.name}-concurrency",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": float(serving.options.target_concurrency),
            "PredefinedMetricSpecification": {"PredefinedMetricType": scalable.metric},
            "ScaleOutCooldown": 60,
            "ScaleInCooldown": 300,
        },
    }


def build_step_policy(serving: Serving) -> Request:
    """PutScalingPolicy that wakes what is at zero: target tracking has no figure there, so it alone never does.

    Its ARN is the action of the alarms of `takeover.sagemaker.alarms.build_wake_alarms`.
    """
    scalable = scalable_of(serving.name, has_components=True)
    return {
        **scalable.key,
        "PolicyName": f"{serving.name}-wake",
        "PolicyType": "StepScaling",
        "StepScalingPolicyConfiguration": {
            "AdjustmentType": "ChangeInCapacity",
            "MetricAggregationType": "Maximum",
            "Cooldown": 60,
            "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}],
        },
    }
