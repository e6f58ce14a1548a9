"""The check of policies finds what is missing and what is too much."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from aws_policies import Call, allows, on_everything, refused, unknown_actions, unneeded, wide_open

from takeover.aws.policies import allow, deny, policy_document

READ = allow("Read", ["s3:GetObject"], "arn:aws:s3:::weights/adapters/*")


@dataclass(frozen=True)
class Case:
    says: str
    statements: tuple[dict[str, object], ...]
    call: Call
    allowed: bool


CASES = (
    Case("what is granted", (READ,), Call("s3:GetObject", "arn:aws:s3:::weights/adapters/a/b"), True),
    Case("another bucket", (READ,), Call("s3:GetObject", "arn:aws:s3:::other/adapters/a"), False),
    Case("another action", (READ,), Call("s3:PutObject", "arn:aws:s3:::weights/adapters/a"), False),
    Case("actions have no case", (READ,), Call("S3:getobject", "arn:aws:s3:::weights/adapters/a"), True),
    Case(
        "a deny wins",
        (READ, deny("Never", ["s3:*"], "*")),
        Call("s3:GetObject", "arn:aws:s3:::weights/adapters/a"),
        False,
    ),
    Case(
        "a condition that holds",
        (allow("Tagged", ["ec2:CreateTags"], "*", when={"StringEquals": {"ec2:CreateAction": ["RunInstances"]}}),),
        Call("ec2:CreateTags", context={"ec2:CreateAction": "RunInstances"}),
        True,
    ),
    Case(
        "a condition on what the request does not say",
        (allow("Tagged", ["ec2:CreateTags"], "*", when={"StringEquals": {"ec2:CreateAction": ["RunInstances"]}}),),
        Call("ec2:CreateTags"),
        False,
    ),
    Case(
        "Null false wants the key to be there",
        (allow("Owned", ["ec2:DeleteTags"], "*", when={"Null": {"aws:ResourceTag/x": "false"}}),),
        Call("ec2:DeleteTags"),
        False,
    ),
    Case(
        "other tags than those named",
        (allow("Few", ["ec2:CreateTags"], "*", when={"ForAllValues:StringEquals": {"aws:TagKeys": ["Name"]}}),),
        Call("ec2:CreateTags", context={"aws:TagKeys": ("Name", "other")}),
        False,
    ),
    Case("brackets are text", (allow("B", ["s3:GetObject"], "arn:a[b]"),), Call("s3:GetObject", "arn:ab"), False),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_allows(case: Case) -> None:
    assert allows(policy_document(*case.statements), case.call) is case.allowed


def test_what_is_missing_and_what_is_too_much() -> None:
    document = policy_document(READ, allow("List", ["s3:ListBucket", "s3:GetBucketAcl"], "arn:aws:s3:::weights"))
    calls = [
        Call("s3:GetObject", "arn:aws:s3:::weights/adapters/a"),
        Call("s3:ListBucket", "arn:aws:s3:::weights"),
        Call("kms:Decrypt", "arn:aws:kms:eu-central-1:1:key/k"),
    ]
    assert refused(document, calls) == [calls[2]]
    assert unneeded(document, calls) == ["List: s3:GetBucketAcl on arn:aws:s3:::weights"]


def test_what_is_wide_open() -> None:
    document = policy_document(allow("All", ["ec2:Describe*", "s3:*"], "*"), allow("One", ["ecr:GetX"], "*"))
    assert wide_open(document) == ["All: ec2:Describe*", "All: s3:*"]
    assert on_everything(document) == ["ec2:Describe*", "ecr:GetX", "s3:*"]


def test_an_action_that_the_service_does_not_have() -> None:
    document = policy_document(allow("Odd", ["ec2:DescribeInstances", "ec2:DescribeNothing", "x:Y"], "*"))
    assert unknown_actions(document, {"ec2": {"DescribeInstances"}}) == ["ec2:DescribeNothing"]


def test_what_the_check_cannot_read_is_an_error() -> None:
    document = policy_document({"Effect": "Allow", "NotAction": ["s3:*"], "Resource": "*"})
    with pytest.raises(AssertionError, match="NotAction"):
        allows(document, Call("s3:GetObject"))
