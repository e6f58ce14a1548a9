"""`takeover:sagemaker`: what is wrong is refused before a call, all at once, by the YAML key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from sagemaker_ground import model, spec

from takeover.errors import Refusals
from takeover.sagemaker.images import is_floating
from takeover.sagemaker.serving import build_serving
from takeover.settings._messages import validate
from takeover.settings._models import Hosting
from takeover.settings._sagemaker import SageMakerOptions, sagemaker_mistakes

KEY = "arn:aws:kms:us-east-1:123456789012:key/1"
ZONES = [{"id": "subnet-a", "zone": "us-east-1a"}, {"id": "subnet-b", "zone": "us-east-1b"}]


@dataclass(frozen=True)
class Wrong:
    id: str
    options: dict[str, Any]
    where: str
    said: str
    hosting: dict[str, Any] = field(default_factory=dict)
    adapters: int = 1


WRONG = [
    Wrong("a region without the image", {"region": "us-east-9"}, "region", "keeps no image"),
    Wrong("an instance without ml.", {"instanceType": "g6e.2xlarge"}, "instanceType", "begin with ml."),
    Wrong(
        "an instance without a GPU",
        {"instanceType": "ml.m5.xlarge"},
        "instanceType",
        "no instance type with a known GPU",
    ),
    Wrong("a size that is none", {"instanceType": "ml.g6e.3xlarge"}, "instanceType", "no size of g6e"),
    Wrong("a volume key on NVMe", {"volumeKmsKeyArn": KEY}, "volumeKmsKeyArn", "has disks of its own (NVMe)"),
    Wrong("a floating tag", {"imageTag": "server-sagemaker-cuda-v2"}, "imageTag", "AWS moves"),
    Wrong("the newest image", {"imageTag": "latest"}, "imageTag", "AWS moves"),
    Wrong(
        "an image that passes no lists",
        {"imageTag": "server-sagemaker-cuda-v2.3"},
        "imageTag",
        "cannot load an adapter",
    ),
    Wrong("a driver too old", {"amiVersion": "al2-ami-sagemaker-inference-gpu-3-1"}, "amiVersion", "too old"),
    Wrong("an AMI that is none", {"amiVersion": "al2024"}, "amiVersion", "which is none"),
    Wrong("weights that are no prefix", {"baseWeights": "/mnt/base"}, "baseWeights", "/mnt/base"),
    Wrong("a bucket with its scheme", {"bucket": "s3://acme"}, "bucket", "s3://acme"),
    Wrong("a role that is no ARN", {"roleArn": "serving"}, "roleArn", "serving"),
    Wrong(
        "a key of another region",
        {"bucketKmsKeyArn": KEY.replace("east-1", "west-2")},
        "bucketKmsKeyArn",
        "is in us-west-2",
    ),
    Wrong("a topic that is a key", {"alarmsTopic": KEY}, "alarmsTopic", "whole ARN"),
    Wrong("isolation without weights", {"networkIsolation": True}, "networkIsolation", "baseWeights is not set"),
    Wrong("subnets without groups", {"subnets": ZONES}, "securityGroups", "is missing"),
    Wrong(
        "one zone only",
        {"subnets": [ZONES[0], {**ZONES[0], "id": "subnet-c"}], "securityGroups": ["sg-1"]},
        "subnets",
        "one zone only",
    ),
    Wrong(
        "a zone of another region",
        {"subnets": [ZONES[0], {"id": "subnet-b", "zone": "eu-west-1b"}], "securityGroups": ["sg-1"]},
        "subnets[1].zone",
        "eu-west-1b",
    ),
    Wrong(
        "a whole answer of no length", {"latency": {"what": "whole-answer"}}, "latency.tokens", "depends on its length"
    ),
    Wrong("tokens for a first token", {"latency": {"tokens": 5}}, "latency.tokens", "what is first-token"),
    Wrong("a canary below ten", {"update": {"percent": 5}}, "update.percent", "at least 10"),
    Wrong(
        "capture with components",
        {"mode": "inference-components", "dataCapture": {"percent": 1}},
        "dataCapture",
        "has none",
    ),
    Wrong(
        "linear with components",
        {"mode": "inference-components", "update": {"strategy": "linear"}},
        "update.strategy",
        "linear",
    ),
    Wrong("zero in mode endpoint", {}, "mode", "minReplicas is 0", {"environment": "staging", "minReplicas": 0}),
    Wrong(
        "zero in production",
        {"mode": "inference-components"},
        "mode",
        "zero in production",
        {"minReplicas": 0},
    ),
    Wrong("six static adapters", {}, "mode", "with 6 adapters", adapters=6),
]


def hosting(**changes: Any) -> Hosting:
    given = {
        "environment": "production",
        "provider": "sagemaker",
        "coldStartTolerance": "none",
        "minReplicas": 1,
        "maxReplicas": 2,
        **changes,
    }
    return Hosting.model_validate(given)


def mistakes_of(options: dict[str, Any], told: Hosting | None = None, adapters: int = 1) -> list[Any]:
    read = SageMakerOptions.model_validate({"region": "us-east-1", **options})
    return list(sagemaker_mistakes(read, told, adapters))


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_each_mistake_is_refused_by_its_key(wrong: Wrong) -> None:
    found = mistakes_of(wrong.options, hosting(**wrong.hosting), wrong.adapters)
    where = wrong.where.replace("subnets.1", "subnets[1]")
    told = [
        str(each)
        for each in found
        if each.where in (f"takeover:sagemaker.{wrong.where}", f"takeover:sagemaker.{where}")
    ]
    assert len(told) >= 1
    assert wrong.said in "\n".join(told)
    assert all(each.fix for each in found)


def test_what_is_right_is_not_refused() -> None:
    network = {"subnets": ZONES, "securityGroups": ["sg-1"], "baseWeights": "s3://acme/base/"}
    assert mistakes_of({}) == []
    assert mistakes_of({**network, "bucketKmsKeyArn": KEY, "update": {"strategy": "rolling", "percent": 5}}) == []
    assert mistakes_of({"mode": "inference-components"}, hosting(environment="staging", minReplicas=0), 9) == []


def test_mistakes_come_all_at_once() -> None:
    options = {"region": "nowhere", "instanceType": "ml.t3.large", "imageTag": "latest", "networkIsolation": True}
    with pytest.raises(Refusals) as caught:
        build_serving((model(base="tiny"),), spec({**options, "mode": "endpoint"}, base="tiny", minReplicas=0))
    text = str(caught.value)
    wanted = ("region", "instanceType", "imageTag", "networkIsolation", "baseWeights")
    assert [key for key in wanted if f"takeover:sagemaker.{key}" not in text] == []
    assert "cannot go below one instance" in text


TIMEOUTS = [("startupTimeoutSeconds", 59), ("startupTimeoutSeconds", 3601), ("downloadTimeoutSeconds", 5)]


@pytest.mark.parametrize(("key", "value"), TIMEOUTS)
def test_a_timeout_that_the_api_does_not_take_is_refused_by_its_key(key: str, value: int) -> None:
    found, mistakes = validate(SageMakerOptions, "sagemaker", {"region": "us-east-1", key: value})
    assert found is None
    assert [each.where for each in mistakes] == [f"takeover:sagemaker.{key}"]


TAGS = [
    ("server-sagemaker-cuda-v2.6", False),
    ("server-sagemaker-cuda-v2.6.1", False),
    ("0.30.0-gpu-py312-cu130-ubuntu24.04-sagemaker", False),
    ("sha256:" + "a" * 64, False),
    ("server-sagemaker-cuda", True),
    ("server-sagemaker-cuda-v2", True),
]


@pytest.mark.parametrize(("tag", "floats"), TAGS)
def test_what_floats(tag: str, floats: bool) -> None:
    assert is_floating(tag) is floats
