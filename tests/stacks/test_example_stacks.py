"""Every stack file of examples/stacks previews: what it makes, and what it says in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from example_stacks import BASE, FOLDER, NAMES, preview_of, run_stack
from fakes.artifacts import make_adapter

from components import program as programs
from takeover.outputs import parse_outputs
from takeover.settings import raw_from_stack_file

# What each is made of: the component, and the resource that answers.
MADE = {
    "eks": ("takeover:hosting:EksVllm", "kubernetes:apps/v1:Deployment"),
    "eks-shared": ("takeover:hosting:EksVllm", "kubernetes:apps/v1:Deployment"),
    "kubernetes": ("takeover:hosting:KubernetesVllm", "kubernetes:apps/v1:Deployment"),
    "kubernetes-zero": ("takeover:hosting:KubernetesVllm", "kubernetes:keda.sh/v1alpha1:ScaledObject"),
    "sagemaker": ("takeover:hosting:SageMaker", "aws:sagemaker/endpoint:Endpoint"),
    "sagemaker-components": ("takeover:hosting:SageMaker", "takeover:index:Endpoint"),
}


def test_each_file_is_tried() -> None:
    assert sorted([*MADE, "eks-cluster"]) == NAMES


@pytest.mark.parametrize("name", MADE)
def test_a_stack_previews_with_what_fits_and_what_it_costs(name: str) -> None:
    run = preview_of(name)
    assert {kind: len(run.of(kind)) for kind in MADE[name]} == dict.fromkeys(MADE[name], 1)
    words = "\n".join(run.said)
    assert "Llama-3.1-8B-Instruct with" in words
    assert " fits on 1 x L4" in words
    assert " USD" in words
    endpoint = parse_outputs(run.exported, where=name)
    wanted = raw_from_stack_file(FOLDER / f"Pulumi.{name}.yaml")
    assert endpoint.provider == json.loads(wanted["hosting"])["provider"]
    assert endpoint.cluster == json.loads(wanted["hosting"]).get("cluster")
    assert endpoint.protocol == ("sagemaker" if name.startswith("sagemaker") else "openai")


@pytest.mark.parametrize("name", MADE)
def test_no_key_stands_in_what_is_made_or_said(name: str) -> None:
    run = preview_of(name)
    said = json.dumps([[each.inputs for each in run.made], run.said, run.warned], default=str)
    assert "a-key-that-must-not-be-seen" not in said
    assert "not-a-real-token" not in said


def test_a_cluster_alone_is_made_and_exported() -> None:
    run = preview_of("eks-cluster")
    assert len(run.of("aws:eks/cluster:Cluster")) == 1
    assert run.of("kubernetes:apps/v1:Deployment") == []
    assert run.exported["cluster"]["name"] == "takeover-eks-cluster"
    assert any("USD an hour" in each for each in run.said)


@pytest.mark.parametrize(
    ("name", "provider"), [("kubernetes", "dedicated-vllm"), ("sagemaker", "sagemaker")], ids=["pods", "an endpoint"]
)
def test_the_version_before_is_served_too_and_is_no_output(
    name: str, provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    before = make_adapter(tmp_path / "before", name="support-tone", seed=9, base=BASE, base_revision=BASE[-40:])
    monkeypatch.setattr(programs, "open_source", lambda *_args, **_rest: before)
    previous = json.dumps({"source": "hf://acme/support-tone@" + "1" * 40, "digest": before.digest})
    run = run_stack(name, tmp_path, changes={"previous": previous})
    made = json.dumps([each.inputs for each in run.made], default=str)
    endpoint = parse_outputs(run.exported, where=name)
    assert (endpoint.provider, len(endpoint.adapters)) == (provider, 1)
    assert before.served_name in made
    assert endpoint.model in made
    assert endpoint.model != before.served_name
    assert any(before.served_name in each and "yesterday" in each for each in run.said)
