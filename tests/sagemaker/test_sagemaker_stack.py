"""Inference components in a stack of the real engine, by the real plugin, on the fake region.

The rest of the component is pulumi-aws, whose plugin is on no registry: test_sagemaker_component.py has its mocks.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pulumi
import pytest
from fakes.artifacts import make_adapter
from fakes.sagemaker_api import FakeSageMaker
from sagemaker_ground import BASE, COMPONENTS, NAME, spec

from components.endpoint import Endpoint
from takeover.engine.stacks import Outcome, StackDriver
from takeover.providers._base import TrainedModel
from takeover.sagemaker.names import base_component, component_name

pytestmark = [pytest.mark.engine, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
TOKEN = "takeover:index:Endpoint"


@pytest.fixture
def project(engine: Path, aws: FakeSageMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "Pulumi.yaml").write_text(
        "name: takeover\nruntime: python\nplugins:\n  providers:\n"
        f"    - name: takeover\n      path: {json.dumps(str(ROOT / 'plugin'))}\n"
    )
    (root / "Pulumi.staging.yaml").write_text("config: {}\n")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi-home"))
    monkeypatch.setenv("TAKEOVER_PYTHON", sys.executable)
    monkeypatch.chdir(root)
    return root


def driver(root: Path, model: TrainedModel) -> StackDriver:
    def program() -> None:
        role = {"roleArn": pulumi.Output.from_input(COMPONENTS["roleArn"])}
        told = {key: value for key, value in COMPONENTS.items() if key != "roleArn"}
        Endpoint("endpoint", provider="sagemaker", models=[model], spec=spec(told, max_replicas=2), options=role)

    return StackDriver("staging", program, project_dir=root)


def trained(folder: Path, mark: int) -> TrainedModel:
    made = make_adapter(folder / f"tone-{mark}", seed=mark, name="tone")
    return made.trained_model().model_copy(update={"base": BASE})


def ops(outcome: Outcome) -> list[str]:
    return [step.op for step in outcome.steps if step.type == TOKEN]


def test_a_stack_s_life(project: Path, aws: FakeSageMaker, tmp_path: Path) -> None:
    old, new = trained(tmp_path, 1), trained(tmp_path, 2)
    base, first, second = (
        base_component(NAME),
        component_name(NAME, old.served_name),
        component_name(NAME, new.served_name),
    )
    assert ops(driver(project, old).preview()) == ["create"]
    assert aws.calls == []
    driver(project, old).up()
    assert sorted(aws.state.components) == sorted([base, first])
    assert ops(driver(project, new).up()) == ["update"]
    assert sorted(aws.state.components) == sorted([base, first, second])
    del aws.state.components[second]
    driver(project, new).refresh()
    assert ops(driver(project, new).preview()) == ["update"]
    driver(project, new).up()
    assert sorted(aws.state.components) == sorted([base, second])
    assert made_by(driver(project, new))["protocol"] == "sagemaker"
    driver(project, new).destroy()
    state = aws.state
    assert (state.endpoints, state.components, state.models, state.targets) == ({}, {}, {}, {})


def made_by(stack: StackDriver) -> dict[str, Any]:
    [found] = [each for each in stack.export()["resources"] if each["type"] == TOKEN]
    return dict(found["outputs"])
