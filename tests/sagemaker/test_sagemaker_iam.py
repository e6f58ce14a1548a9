"""Policies against the calls that are made: nothing missing, nothing more."""

from __future__ import annotations

from typing import Any

import pytest
from aws_policies import Call, on_everything, refused, unknown_actions, unneeded, wide_open
from fakes.aws_shapes import service_model
from sagemaker_ground import BUCKET, NAME, serving

from takeover.sagemaker.iam import DEPLOYER, NEEDED, build_deployer_policy, build_policy, build_trust

KEY = "arn:aws:kms:us-east-1:123456789012:key/1"
NETWORK = {
    "subnets": [{"id": "subnet-a", "zone": "us-east-1a"}, {"id": "subnet-b", "zone": "us-east-1b"}],
    "securityGroups": ["sg-1"],
    "baseWeights": "s3://acme-bases/llama/",
    "bucketKmsKeyArn": KEY,
    "dataCapture": {"percent": 1},
}
IMAGES = "arn:aws:ecr:us-east-1:763104351884:repository/vllm"
LOGS = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/demo"
HERE = {"aws:RequestedRegion": "us-east-1"}
PLAIN_CALLS = [
    *(
        Call("cloudwatch:PutMetricData", context={"cloudwatch:namespace": name})
        for name in ("AWS/SageMaker", "/aws/sagemaker/Endpoints", "/aws/sagemaker/InferenceComponents")
    ),
    *(Call(action, LOGS) for action in NEEDED["logs"]),
    Call("ecr:GetAuthorizationToken", context=HERE),
    *(Call(action, IMAGES) for action in NEEDED["image"]),
    Call("s3:GetObject", f"arn:aws:s3:::{BUCKET}/{NAME}/adapters/{'a' * 64}/adapter_config.json"),
    Call("s3:ListBucket", f"arn:aws:s3:::{BUCKET}"),
    Call("cloudwatch:DescribeAlarms", context=HERE),
]
FULL_CALLS = [
    *PLAIN_CALLS,
    Call("s3:GetObject", "arn:aws:s3:::acme-bases/llama/config.json"),
    Call("s3:ListBucket", "arn:aws:s3:::acme-bases"),
    Call("s3:PutObject", f"arn:aws:s3:::{BUCKET}/{NAME}/captured/2026/1.jsonl"),
    Call("kms:Decrypt", KEY),
    Call("kms:GenerateDataKey", KEY),
    *(Call(action, context=HERE) for action in NEEDED["network"]),
]


@pytest.mark.parametrize(("options", "calls"), [({}, PLAIN_CALLS), (NETWORK, FULL_CALLS)], ids=["plain", "full"])
def test_the_role_may_do_what_it_must_and_nothing_more(options: dict[str, Any], calls: list[Call]) -> None:
    policy = build_policy(serving(options), BUCKET)
    assert refused(policy, calls) == []
    assert unneeded(policy, calls) == []
    assert (wide_open(policy), on_everything(policy)) == ([], [])


OUTSIDE = [
    Call("s3:GetObject", f"arn:aws:s3:::{BUCKET}/another/adapters/a"),
    Call("s3:PutObject", f"arn:aws:s3:::{BUCKET}/{NAME}/adapters/a"),
    Call("ecr:BatchGetImage", "arn:aws:ecr:us-east-1:123456789012:repository/vllm"),
    Call("cloudwatch:PutMetricData", context={"cloudwatch:namespace": "Billing"}),
    Call("logs:PutLogEvents", "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/other"),
]


@pytest.mark.parametrize("call", OUTSIDE, ids=lambda call: f"{call.action} {call.resource}")
def test_the_role_may_not_do_what_is_not_its_business(call: Call) -> None:
    assert refused(build_policy(serving(), BUCKET), [call]) == [call]


def test_sagemaker_takes_the_role_on_for_this_account_alone() -> None:
    statement = build_trust("123456789012")["Statement"][0]
    assert statement["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_every_action_of_who_deploys_is_one_that_aws_has() -> None:
    policy = build_deployer_policy("us-east-1", "123456789012", BUCKET, "arn:aws:iam::123456789012:role/r")
    services = ("sagemaker", "application-autoscaling", "cloudwatch", "logs")
    operations = {name: set(service_model(name).operation_names) for name in services}
    # InvokeEndpoint is the runtime's.
    operations["sagemaker"] |= set(service_model("sagemaker-runtime").operation_names)
    assert unknown_actions(policy, operations) == []
    assert (wide_open(policy), on_everything(policy)) == ([], [])
    granted = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert granted - {"iam:PassRole"} == {f"{name}:{each}" for name, calls in DEPLOYER.items() for each in calls}
