"""The quota of instances: read, and told in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from fakes.aws_shapes import operation, wrong_in

from takeover.providers._sagemaker_api import Api
from takeover.providers._sagemaker_quota import look_at_quota

NAME = "ml.g6e.2xlarge"


@dataclass(frozen=True)
class Case:
    id: str
    applied: float | None
    default: float | None
    level: str
    said: str


_NAMES = {
    "list_service_quotas": "ListServiceQuotas",
    "list_aws_default_service_quotas": "ListAWSDefaultServiceQuotas",
}
CASES = [
    Case("none at all", 0, 0, "problem", "a quota of 0 x ml.g6e.2xlarge in us-east-1: 2 are asked for"),
    Case("only AWS's default", None, 0, "problem", "2 are asked for"),
    Case("enough to run, not to update", 3, 0, "note", "an update needs 4 for a while"),
    Case("enough", 4, 0, "good", "a quota of 4"),
    Case("no such quota", None, None, "note", "does not name ml.g6e.2xlarge"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_quota_is_told_before_anything_is_made(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"list_service_quotas": case.applied, "list_aws_default_service_quotas": case.default}

    def call(_self: Api, service: str, name: str, request: dict[str, Any]) -> dict[str, Any]:
        shape = operation(
            service, {"list_service_quotas": "ListServiceQuotas"}.get(name, "ListAWSDefaultServiceQuotas")
        )
        assert shape.input_shape is not None
        assert list(wrong_in(shape.input_shape, request)) == []
        page = [{"QuotaName": "another", "Value": 9.0}]
        if "NextToken" not in request:
            return {"Quotas": page, "NextToken": "more"}
        found = [{"QuotaName": f"{NAME} for endpoint usage", "Value": values[name]}]
        return {"Quotas": found if values[name] is not None else []}

    monkeypatch.setattr(Api, "_call", call)
    level, said, fix = look_at_quota("us-east-1", NAME, 2, by_fleets=True)
    assert (level, case.said in said, bool(fix)) == (case.level, True, case.level != "good")
