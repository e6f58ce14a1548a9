"""None of the 26 mistakes of part F is in what the example stacks make, and each check sees its mistake put back in."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
from example_stacks import BASE, FOLDER, preview_of
from part_f import LATER, ROWS, Row, Stack

from takeover.planning.hardware import instance_named
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.sagemaker.alarms import build_wake_alarms
from takeover.sagemaker.requests import build_configuration
from takeover.sagemaker.scaling import build_step_policy
from takeover.sagemaker.serving import build_serving
from takeover.settings import settings_from_stack_file
from takeover.tiers import TIERS, No


@cache
def made(name: str) -> Stack:
    """Everything that the program registers for an example stack, and what the native provider would send for it."""
    run = preview_of(name)
    stack: Stack = {
        each.key: {
            "inputs": each.inputs,
            "after": list(each.after),
            "ignoreChanges": list(each.ignore_changes),
            "timeouts": dict(each.timeouts),
            "deleteBeforeReplace": each.delete_before_replace,
        }
        for each in run.made
    }
    return {**stack, "said": {"lines": run.said}, "requests": requests() if name == "sagemaker-components" else {}}


def requests() -> dict[str, Any]:
    settings = settings_from_stack_file(FOLDER / "Pulumi.sagemaker-components.yaml")
    digest = "a" * 64
    model = TrainedModel(
        name="tone", digest=f"sha256:{digest}", served_name=f"tone@{digest[:12]}", path="/x", base=BASE, rank=4
    )
    spec = EndpointSpec(name="demo", base=BASE, min_replicas=0, max_replicas=2, options=settings.options())
    serving = build_serving((model,), spec)
    return {
        "configuration": build_configuration(serving, None, "arn:role"),
        "step": build_step_policy(serving),
        "wake": build_wake_alarms(serving, "the policy"),
    }


def test_each_of_the_26_has_a_row_or_is_of_a_tier_that_is_not_built() -> None:
    assert sorted({row.number for row in ROWS} | set(LATER)) == list(range(1, 27))
    assert "vertex" not in TIERS
    assert all(isinstance(TIERS["dedicated-vllm"].clusters[name], No) for name in ("runpod", "lambda", "vast"))


def test_the_examples_are_such_that_the_mistakes_could_be_made() -> None:
    assert instance_named("ml.g6e.2xlarge").local_nvme


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_mistake_is_not_made_and_would_be_seen(row: Row) -> None:
    stack = made(row.stack)
    assert list(row.check(stack)) == []
    spoilt = copy.deepcopy(stack)
    row.spoil(spoilt)
    assert list(row.check(spoilt)) != []
