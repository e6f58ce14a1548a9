"""Alarms, dashboard, and what scales by load: the requests of takeover/sagemaker in pulumi-aws's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from components.sagemaker.fleet import words
from takeover.sagemaker.alarms import build_dashboard
from takeover.sagemaker.scaling import build_target, build_tracking_policy
from takeover.sagemaker.serving import Serving

__all__ = ["make_alarms", "make_dashboard", "make_scaling"]

# Where pulumi-aws says it in other words than the API.
_OTHER = {"alarm_name": "name", "evaluate_low_sample_count_percentile": "evaluate_low_sample_count_percentiles"}


def make_alarms(alarms: Sequence[Mapping[str, Any]], here: pulumi.ResourceOptions) -> list[aws.cloudwatch.MetricAlarm]:
    """Each under its own name, which a roll-back and the dashboard know."""
    return [aws.cloudwatch.MetricAlarm(alarm["AlarmName"], **_alarm(alarm), opts=here) for alarm in alarms]


def _alarm(alarm: Mapping[str, Any]) -> dict[str, Any]:
    made = {_OTHER.get(key, key): value for key, value in words(alarm).items()}
    return {**made, "dimensions": {each["Name"]: each["Value"] for each in alarm["Dimensions"]}}


def make_dashboard(serving: Serving, alarms: Sequence[dict[str, Any]], here: pulumi.ResourceOptions) -> None:
    aws.cloudwatch.Dashboard(
        f"{serving.name}-dashboard",
        dashboard_name=serving.name,
        dashboard_body=build_dashboard(serving, alarms),
        opts=here,
    )


def make_scaling(serving: Serving, endpoint: aws.sagemaker.Endpoint, here: pulumi.ResourceOptions) -> None:
    """After the endpoint, and gone before it: what scales would bring back what goes."""
    target = aws.appautoscaling.Target(
        f"{serving.name}-target",
        **words(build_target(serving)),
        opts=pulumi.ResourceOptions.merge(here, pulumi.ResourceOptions(depends_on=[endpoint])),
    )
    policy = build_tracking_policy(serving)
    aws.appautoscaling.Policy(
        f"{serving.name}-concurrency",
        name=policy["PolicyName"],
        policy_type=policy["PolicyType"],
        service_namespace=target.service_namespace,
        resource_id=target.resource_id,
        scalable_dimension=target.scalable_dimension,
        target_tracking_scaling_policy_configuration=words(policy["TargetTrackingScalingPolicyConfiguration"]),
        opts=here,
    )
