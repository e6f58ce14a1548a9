"""CloudWatch: alarms, what a latency goal can mean, and a dashboard. Pure.

SageMaker's latencies are in MICROSECONDS (AWS/SageMaker; docs.aws.amazon.com/sagemaker/latest/dg/
monitoring-cloudwatch.html). `ModelLatency` ends with the whole answer; `FirstChunkModelLatency` with the first piece of
a streamed one: AWS names it among the streaming metrics (read 2026-11-25), and no account was at hand to see it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from takeover.planning.hardware import instance_named
from takeover.sagemaker.names import VARIANT, base_component, component_name
from takeover.sagemaker.serving import Serving

__all__ = [
    "WAKE",
    "build_alarms",
    "build_capacity_alarm",
    "build_dashboard",
    "build_error_alarm",
    "build_latency_alarm",
    "build_wake_alarms",
    "latency_sentences",
    "rollback_alarms",
]

Request = dict[str, Any]
_NAMESPACE = "AWS/SageMaker"
WAKE = "wake"


def _dimensions(serving: Serving) -> list[dict[str, str]]:
    """Inference components have figures of their own; a variant's are by endpoint and variant."""
    if serving.options.has_components:
        return [{"Name": "InferenceComponentName", "Value": base_component(serving.name)}]
    return [{"Name": "EndpointName", "Value": serving.name}, {"Name": "VariantName", "Value": VARIANT}]


def _alarm(serving: Serving, name: str, description: str, actions: Sequence[Any], **rest: Any) -> Request:
    return {
        "AlarmName": f"{serving.name}-{name}",
        "AlarmDescription": description,
        "Namespace": _NAMESPACE,
        "Dimensions": _dimensions(serving),
        "TreatMissingData": "notBreaching",
        "AlarmActions": list(actions),
        **rest,
    }


def build_latency_alarm(serving: Serving, target_ms: int, actions: Sequence[Any] = ()) -> Request:
    """p95 above the goal in three of five minutes. A percentile has ExtendedStatistic and never Statistic."""
    is_first = serving.options.latency.what == "first-token"
    what = "first token of a stream" if is_first else f"whole answer of {serving.options.latency.tokens} tokens"
    return _alarm(
        serving,
        "latency",
        f"p95 of the {what} above {target_ms} ms",
        actions,
        MetricName="FirstChunkModelLatency" if is_first else "ModelLatency",
        ExtendedStatistic="p95",
        EvaluateLowSampleCountPercentile="ignore",
        Threshold=float(target_ms * 1000),
        ComparisonOperator="GreaterThanThreshold",
        Period=60,
        EvaluationPeriods=5,
        DatapointsToAlarm=3,
        Unit="Microseconds",
    )


def build_error_alarm(serving: Serving, actions: Sequence[Any] = ()) -> Request:
    """More than 5 answers with a status of 500 and above in a minute, twice."""
    return _alarm(
        serving,
        "errors",
        "more than 5 answers with a status of 500 or above in a minute",
        actions,
        MetricName="Invocation5XXErrors",
        Statistic="Sum",
        Threshold=5.0,
        ComparisonOperator="GreaterThanThreshold",
        Period=60,
        EvaluationPeriods=2,
        DatapointsToAlarm=2,
    )


def build_wake_alarms(serving: Serving, policy_arn: Any) -> list[Request]:
    """One call that found no copy is enough to wake it: at least 1, not more than 1, in 30 seconds.

    One for the base and one for each adapter: AWS does not say under which of the two a call for an adapter counts.
    """
    asked = [base_component(serving.name)]
    asked += [component_name(serving.name, model.served_name) for model in serving.models]
    return [
        {
            **_alarm(
                serving,
                f"{WAKE}-{component}",
                "somebody asked while no copy runs",
                [policy_arn],
                MetricName="NoCapacityInvocationFailures",
                Statistic="Maximum",
                Threshold=1.0,
                ComparisonOperator="GreaterThanOrEqualToThreshold",
                Period=30,
                EvaluationPeriods=1,
                DatapointsToAlarm=1,
            ),
            "Dimensions": [{"Name": "InferenceComponentName", "Value": component}],
        }
        for component in asked
    ]


def build_capacity_alarm(serving: Serving, actions: Sequence[Any] = ()) -> Request:
    """For people: calls fail for minutes because no copy comes up."""
    return _alarm(
        serving,
        "no-capacity",
        "calls have failed for 15 minutes because no copy runs",
        actions,
        MetricName="NoCapacityInvocationFailures",
        Statistic="Sum",
        Threshold=1.0,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        Period=300,
        EvaluationPeriods=3,
        DatapointsToAlarm=3,
    )


def build_alarms(serving: Serving, target_ms: int | None, actions: Sequence[Any] = ()) -> list[Request]:
    """The alarms for people, and for roll-back."""
    alarms = [build_latency_alarm(serving, target_ms, actions)] if target_ms is not None else []
    alarms.append(build_error_alarm(serving, actions))
    if serving.options.has_components:
        alarms.append(build_capacity_alarm(serving, actions))
    return alarms


def rollback_alarms(alarms: Sequence[Request]) -> list[str]:
    """Which of them call the old version back: those that a new version can be guilty of."""
    return [alarm["AlarmName"] for alarm in alarms if alarm["AlarmName"].endswith(("-latency", "-errors"))]


def latency_sentences(serving: Serving, target_ms: int | None, *, is_reckoned: bool = False) -> Iterator[str]:
    """What the goal means here, and a warning where it cannot hold, unless `takeover.planning` has reckoned that.

    A token of one stream cannot come faster than its GPUs read the base's weights once: that is the floor that is
    compared. The weights are taken as 2 bytes for each of 7 thousand million parameters where nothing else is known.
    """
    if target_ms is None:
        return
    latency = serving.options.latency
    if latency.what == "first-token":
        yield (
            f"targetLatencyMs {target_ms}: p95 of the time to the first token of a streamed answer; callers who do "
            "not stream wait for the whole answer, which is not measured by it"
        )
        return
    tokens = latency.tokens or 1
    machine = instance_named(serving.options.instance_type)
    floor_ms = tokens * 14.0 / (machine.gpu.bandwidth_gb_s * machine.gpus) * 1000
    yield (
        f"targetLatencyMs {target_ms}: p95 of a whole answer of {tokens} tokens, so ask with max_tokens {tokens} or "
        "less; a longer answer counts as too slow"
    )
    if floor_ms > target_ms and not is_reckoned:
        most = int(target_ms / (floor_ms / tokens))
        yield (
            f"warning: {target_ms} ms cannot hold: a base of 7B parameters in 16 bits takes at least {floor_ms:.0f} ms "
            f"for {tokens} tokens on {machine.gpus} x {machine.gpu.name} (its memory's bandwidth); {most} tokens are "
            "the most. Set takeover:sagemaker.latency: {what: first-token}, fewer tokens, or another goal"
        )


def build_dashboard(serving: Serving, alarms: Sequence[Request]) -> str:
    """The dashboard's body, as JSON text: latencies, load, errors, instances, GPUs."""
    dimensions = [part for each in _dimensions(serving) for part in (each["Name"], each["Value"])]

    def widget(index: int, title: str, metrics: Sequence[tuple[str, str]], namespace: str = _NAMESPACE) -> Request:
        return {
            "type": "metric",
            "x": 12 * (index % 2),
            "y": 6 * (index // 2),
            "width": 12,
            "height": 6,
            "properties": {
                "title": title,
                "region": serving.options.region,
                "period": 60,
                "metrics": [[namespace, name, *dimensions, {"stat": stat}] for name, stat in metrics],
            },
        }

    latencies = [("FirstChunkModelLatency", "p95"), ("ModelLatency", "p50"), ("ModelLatency", "p95")]
    own = "/aws/sagemaker/InferenceComponents" if serving.options.has_components else "/aws/sagemaker/Endpoints"
    load = "ConcurrentRequestsPerCopy" if serving.options.has_components else "ConcurrentRequestsPerModel"
    widgets = [
        widget(0, "Latency (microseconds)", latencies),
        widget(1, "Requests", [("Invocations", "Sum"), (load, "Maximum")]),
        widget(2, "Errors", [("Invocation4XXErrors", "Sum"), ("Invocation5XXErrors", "Sum")]),
        widget(3, "GPU (percent)", [("GPUUtilization", "Average"), ("GPUMemoryUtilization", "Average")], own),
    ]
    if serving.options.has_components:
        widgets.append(widget(4, "Calls without a copy", [("NoCapacityInvocationFailures", "Sum")]))
    marks = [f"{alarm['AlarmName']}: {alarm['AlarmDescription']}" for alarm in alarms]
    text = {"type": "text", "x": 0, "y": 18, "width": 24, "height": 4, "properties": {"markdown": "\n".join(marks)}}
    return json.dumps({"widgets": [*widgets, text]}, separators=(",", ":"))
