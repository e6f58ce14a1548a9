"""A stack that makes an EKS cluster for others and serves nothing."""

from __future__ import annotations

import json

import pytest

from takeover.errors import Refusals
from takeover.settings import parse_cluster

EKS = {"role": "cluster", "region": "eu-west-1", "zones": ["eu-west-1a", "eu-west-1b"]}


def test_its_options_are_read() -> None:
    found = parse_cluster({"eks": json.dumps(EKS)}, stack="cluster")
    assert found is not None
    assert (found.role, found.region, found.zones) == ("cluster", "eu-west-1", ("eu-west-1a", "eu-west-1b"))


@pytest.mark.parametrize("text", ["{}", '{"region": "eu-west-1"}', '{"role": "serve"}', "[1]", "no mapping", "{"])
def test_another_stack_is_none_of_these(text: str) -> None:
    assert parse_cluster({"eks": text, "hosting": "{}"}, stack="prod") is None
    assert parse_cluster({}, stack="dev") is None


def test_all_mistakes_come_at_once() -> None:
    raw = {
        "eks": json.dumps({**EKS, "zones": ["eu-west-1a"], "instanceType": "g6.xlarge"}),
        "hosting": "{}",
        "hostng": "{}",
    }
    with pytest.raises(Refusals) as caught:
        parse_cluster(raw, stack="cluster")
    assert sorted(mistake.where for mistake in caught.value.mistakes) == [
        "takeover:eks.instanceType",
        "takeover:eks.zones",
        "takeover:hosting",
        "takeover:hostng",
    ]
