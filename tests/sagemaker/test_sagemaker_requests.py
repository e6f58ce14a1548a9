"""The pure builders: requests that the API takes, the image map of AWS itself, words on latency."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.aws_shapes import operation, wrong_in
from sagemaker_ground import BUCKET, COMPONENTS, NAME, ROLE, model, serving, uri

from takeover.errors import Refused
from takeover.providers._sagemaker_figures import build_queries, parse_figures
from takeover.sagemaker import alarms, images, scaling
from takeover.sagemaker.container import base_of, build_environment, static_adapters
from takeover.sagemaker.names import base_component, component_name, digest_in, invocation_url, parse_address
from takeover.sagemaker.packing import archive_bytes
from takeover.sagemaker.requests import (
    build_adapter_component,
    build_base_component,
    build_configuration,
    build_deployment,
    build_model,
)

NETWORK = {
    "subnets": [{"id": "subnet-0a", "zone": "us-east-1a"}, {"id": "subnet-0b", "zone": "us-east-1b"}],
    "securityGroups": ["sg-01"],
    "baseWeights": "s3://acme-bases/llama",
}
TWO = (model("tone", "a"), model("style", "b"))
PLAIN, NET, PARTS = serving(), serving(NETWORK), serving(COMPONENTS, TWO)
ZERO = serving(COMPONENTS, minReplicas=0, maxReplicas=3)
CAPTURE = serving({"dataCapture": {"percent": 5}})
ARN = "arn:aws:autoscaling:us-east-1:123456789012:scalingPolicy:1"


@dataclass(frozen=True)
class Sent:
    id: str
    service: str
    operation: str
    request: dict[str, Any]


SENT = [
    Sent("model, weights from the Hub", "sagemaker", "CreateModel", build_model(PLAIN, uri, ROLE)),
    Sent("model in a network", "sagemaker", "CreateModel", build_model(NET, uri, ROLE)),
    Sent("model of components", "sagemaker", "CreateModel", build_model(PARTS, uri, ROLE)),
    Sent("configuration", "sagemaker", "CreateEndpointConfig", build_configuration(PLAIN, "m", ROLE)),
    Sent("configuration of components", "sagemaker", "CreateEndpointConfig", build_configuration(ZERO, None, ROLE)),
    Sent(
        "configuration with capture",
        "sagemaker",
        "CreateEndpointConfig",
        build_configuration(CAPTURE, "m", ROLE, capture_uri=f"s3://{BUCKET}/captured"),
    ),
    Sent("base component", "sagemaker", "CreateInferenceComponent", build_base_component(PARTS, "m")),
    Sent("adapter component", "sagemaker", "CreateInferenceComponent", build_adapter_component(PARTS, TWO[0], uri)),
    Sent("target", "application-autoscaling", "RegisterScalableTarget", scaling.build_target(PLAIN)),
    Sent("target at zero", "application-autoscaling", "RegisterScalableTarget", scaling.build_target(ZERO)),
    Sent("tracking", "application-autoscaling", "PutScalingPolicy", scaling.build_tracking_policy(PLAIN)),
    Sent("tracking copies", "application-autoscaling", "PutScalingPolicy", scaling.build_tracking_policy(ZERO)),
    Sent("waking", "application-autoscaling", "PutScalingPolicy", scaling.build_step_policy(ZERO)),
    *(
        Sent(each["AlarmName"], "cloudwatch", "PutMetricAlarm", each)
        for each in (*alarms.build_alarms(PARTS, 200), *alarms.build_wake_alarms(ZERO, ARN))
    ),
    *(
        Sent(f"update {each}", "sagemaker", "UpdateEndpoint", {
            "EndpointName": NAME, "EndpointConfigName": "c",
            "DeploymentConfig": build_deployment(
                serving({"update": {"strategy": each}}, minReplicas=2, maxReplicas=2), ["a"]
            ),
        })
        for each in ("canary", "linear", "rolling", "all-at-once")
    ),
]  # fmt: skip


@pytest.mark.parametrize("sent", SENT, ids=lambda sent: sent.id)
def test_the_service_s_own_model_takes_the_request(sent: Sent) -> None:
    shape = operation(sent.service, sent.operation).input_shape
    assert shape is not None
    assert list(wrong_in(shape, sent.request)) == []


def test_the_check_of_requests_finds_what_the_service_would_refuse() -> None:
    shape = operation("sagemaker", "CreateModel").input_shape
    assert shape is not None
    request = {**build_model(PLAIN, uri, ROLE), "ModelName": "a name", "ExecutionRoleArn": 7, "Nonsense": True}
    assert [each.partition(" is ")[0] for each in wrong_in(shape, request)] == [
        "CreateModelInput.ModelName",
        "CreateModelInput.ExecutionRoleArn",
        "CreateModelInput.Nonsense",
    ]


def test_images_lie_where_aws_s_own_map_says() -> None:
    """Not through sagemaker's import, which takes seconds: the file that it reads."""
    import importlib.util

    found = importlib.util.find_spec("sagemaker")
    assert found is not None
    assert found.submodule_search_locations is not None
    folder = Path(found.submodule_search_locations[0]) / "core" / "image_uri_config"
    told = json.loads((folder / "vllm-server.json").read_text())["versions"]["2.6"]
    tag = f"{told['tag_prefix']}-{told['container_version']['gpu']}"
    theirs = {
        region: f"{account}.dkr.ecr.{region}.amazonaws.com/{told['repository']}:{tag}"
        for region, account in told["registries"].items()
    }
    assert {region: images.image_uri(region) for region in images.regions()} == theirs


def test_what_the_container_is_told() -> None:
    assert build_environment(serving(NETWORK, TWO)) == {
        "HF_HUB_OFFLINE": "1",
        "SM_VLLM_ENABLE_LORA": "true",
        "SM_VLLM_LORA_MODULES": json.dumps(
            [
                {
                    "name": each.served_name,
                    "path": f"/opt/ml/additional-model-data-sources/{each.name}.{each.digest[7:19]}",
                }
                for each in TWO
            ],
            separators=(",", ":"),
        ),
        "SM_VLLM_MAX_CPU_LORAS": "2",
        "SM_VLLM_MAX_LORAS": "2",
        "SM_VLLM_MAX_LORA_RANK": "8",
        "SM_VLLM_MODEL": "/opt/ml/model",
        "SM_VLLM_SERVED_MODEL_NAME": f'["base","hub:acme/base@{"b" * 40}"]',
        "SM_VLLM_SHUTDOWN_TIMEOUT": "25",
        "SM_VLLM_TENSOR_PARALLEL_SIZE": "1",
        "SUPERVISOR_PROGRAM__APP_STOPWAITSECS": "28",
        "VLLM_NO_USAGE_STATS": "1",
    }


def test_from_the_hub_the_base_is_pinned_to_its_commit() -> None:
    told = build_environment(PLAIN)
    assert (told["SM_VLLM_MODEL"], told["SM_VLLM_REVISION"]) == ("acme/base", "b" * 40)
    assert build_model(PLAIN, uri, ROLE)["EnableNetworkIsolation"] is False
    assert build_model(NET, uri, ROLE)["EnableNetworkIsolation"] is True


def test_only_components_let_adapters_be_loaded_at_run_time() -> None:
    switch = "VLLM_ALLOW_RUNTIME_LORA_UPDATING"
    assert [switch in build_environment(each) for each in (PLAIN, PARTS)] == [False, True]
    assert "AdditionalModelDataSources" not in build_model(PARTS, uri, ROLE)["PrimaryContainer"]


def test_a_rank_is_rounded_up_to_one_that_vllm_has() -> None:
    assert build_environment(serving(models=(model(rank=24),)))["SM_VLLM_MAX_LORA_RANK"] == "32"


def test_names_that_are_too_long_together_are_refused() -> None:
    many = tuple(
        model("a-very-long-name-of-an-adapter-that-goes-on-and-on-and-on-" + mark * 20, mark) for mark in "abcde"
    )
    with pytest.raises(Refused, match="SM_VLLM_LORA_MODULES has"):
        build_environment(serving(models=many))


def test_another_version_is_another_model_and_the_same_one_is_not() -> None:
    first, again, other = (build_model(serving(models=(model(mark=mark),)), uri, ROLE) for mark in "aab")
    assert first["ModelName"] == again["ModelName"]
    assert first["ModelName"] != other["ModelName"]


def test_what_is_served_is_read_from_what_was_asked_for() -> None:
    container = build_model(serving(models=TWO), uri, ROLE)["PrimaryContainer"]
    assert (base_of(container), base_of({})) == ("hub:acme/base@" + "b" * 40, None)
    served = {name: digest_in(where) for name, where in static_adapters(container).items()}
    assert served == {each.served_name: each.digest for each in TWO}
    request = build_adapter_component(PARTS, TWO[0], uri)
    assert digest_in(request["Specification"]["Container"]["ArtifactUrl"]) == TWO[0].digest


def test_a_fleet_of_one_has_no_canary() -> None:
    def routing(least: int) -> Any:
        policy = build_deployment(serving(minReplicas=least, maxReplicas=4), ["late"])["BlueGreenUpdatePolicy"]
        return policy["TrafficRoutingConfiguration"]

    assert routing(1) == {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    assert routing(2)["CanarySize"] == {"Type": "CAPACITY_PERCENT", "Value": 25}


def test_every_update_is_bound_to_alarms() -> None:
    found = build_deployment(PLAIN, alarms.rollback_alarms(alarms.build_alarms(PLAIN, 200)))
    names = [each["AlarmName"] for each in found["AutoRollbackConfiguration"]["Alarms"]]
    assert names == [f"{NAME}-latency", f"{NAME}-errors"]


def test_names_of_components_are_short_and_differ_by_endpoint_and_version() -> None:
    long = "a-name-" * 12 + "@" + "c" * 12
    names = [component_name(NAME, long), component_name("other", long), component_name(NAME, "tone@" + "c" * 12)]
    assert [len(each) <= 63 for each in names] == [True, True, True]
    assert len(set(names)) == 3
    assert component_name(NAME, "base") == base_component(NAME)


@pytest.mark.parametrize("parts", [False, True])
def test_an_address_is_read_as_it_was_written(parts: bool) -> None:
    url = invocation_url("eu-west-1", NAME, has_components=parts)
    found = parse_address(url)
    assert (found.endpoint, found.region, found.has_components) == (NAME, "eu-west-1", parts)
    assert url.startswith("https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/demo-prod-1a2b3c4d/invocations")


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(Refused, match="no address of a SageMaker endpoint"):
        parse_address("https://api.example/v1")


def test_an_archive_has_no_folder_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    import io
    import tarfile

    from fakes.artifacts import make_adapter

    made = make_adapter(tmp_path / "a")
    first, second = archive_bytes(made.path), archive_bytes(made.path)
    assert first == second
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        assert archive.getnames() == ["adapter_config.json", "adapter_model.safetensors"]


def test_latencies_are_in_microseconds_and_percentiles_stand_alone() -> None:
    alarm = alarms.build_latency_alarm(PLAIN, 200)
    assert (alarm["Threshold"], alarm["ExtendedStatistic"]) == (200000.0, "p95")
    assert "Statistic" not in alarm
    whole = alarms.build_latency_alarm(serving({"latency": {"what": "whole-answer", "tokens": 8}}), 200)
    assert [each["MetricName"] for each in (alarm, whole)] == ["FirstChunkModelLatency", "ModelLatency"]


LATENCIES = [
    ({}, 200, ["p95 of the time to the first token"]),
    ({"latency": {"what": "whole-answer", "tokens": 8}}, 200, ["p95 of a whole answer of 8 tokens"]),
    ({"latency": {"what": "whole-answer", "tokens": 64}}, 200, ["p95 of a whole answer of 64 tokens", "cannot hold"]),
    ({}, None, []),
]  # fmt: skip


@pytest.mark.parametrize(("options", "target_ms", "said"), LATENCIES)
def test_a_latency_goal_is_explained_and_one_that_cannot_hold_is_warned_of(
    options: dict[str, Any], target_ms: int | None, said: list[str]
) -> None:
    told = list(alarms.latency_sentences(serving(options), target_ms))
    assert len(told) == len(said)
    assert [words for words, sentence in zip(said, told, strict=True) if words not in sentence] == []


def test_what_the_fit_has_reckoned_is_not_warned_of_twice() -> None:
    whole = serving({"latency": {"what": "whole-answer", "tokens": 64}})
    assert len(list(alarms.latency_sentences(whole, 200, is_reckoned=True))) == 1


def test_one_lone_call_wakes_what_is_at_zero() -> None:
    found = alarms.build_wake_alarms(ZERO, ARN)
    assert {each["ComparisonOperator"] for each in found} == {"GreaterThanOrEqualToThreshold"}
    assert [each["Dimensions"][0]["Value"] for each in found] == [
        base_component(NAME),
        component_name(NAME, model().served_name),
    ]
    assert scaling.build_step_policy(ZERO)["StepScalingPolicyConfiguration"]["StepAdjustments"] == [
        {"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}
    ]


def test_figures_that_cloudwatch_has_not_are_none() -> None:
    answer = {"MetricDataResults": [{"Id": "requests", "Values": [7.0]}, {"Id": "latency95", "Values": [250_000.0]}]}
    told = parse_figures(answer, 2)
    assert (told.requests, told.errors, told.latency_p95_ms, told.latency_p50_ms) == (7, 0, 250.0, None)
    assert (told.queue, told.prompt_tokens, told.replicas) == (None, None, 2)
    shape = operation("cloudwatch", "GetMetricData").input_shape
    assert shape is not None
    asked = {"MetricDataQueries": build_queries(NAME, has_components=True)}
    assert [each for each in wrong_in(shape, asked) if "Time" not in each] == []
