"""Whole EKS stacks under recording mocks: every resource against a snapshot, and what must not be there.

`TAKEOVER_REWRITE=1 pytest tests/eks` writes the snapshots anew; git then shows what changed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from aws_policies import on_everything, wide_open
from fakes.eks_stacks import KEY, NAMES, ON_SHARED, SHARED, WITH_CLUSTER, in_brief, run_of, serve_run, spec
from fakes.pulumi_recorder import Recorded, Run, as_yaml, compare

from takeover.aws.eks_policies import load_balancer_controller
from takeover.settings._raw import WrongSetting

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pulumi_aws")

SNAPSHOTS = Path(__file__).parent / "snapshots"
REWRITE = os.environ.get("TAKEOVER_REWRITE") == "1"


def test_minimal() -> None:
    compare(as_yaml(in_brief(run_of("minimal").made)), SNAPSHOTS / "minimal.yaml", rewrite=REWRITE)


@pytest.mark.parametrize("name", NAMES[1:])
def test_snapshot(name: str) -> None:
    minimal = yaml.load((SNAPSHOTS / "minimal.yaml").read_text(), Loader=yaml.CSafeLoader)
    compare(as_yaml(in_brief(run_of(name).made), beside=minimal), SNAPSHOTS / f"{name}.yaml", rewrite=REWRITE)


def test_sentences() -> None:
    own = f"{spec().name}: "  # the pods' lines are those of any cluster
    said = {name: [line for line in run_of(name).said if not line.startswith(own)] for name in NAMES}
    text = "".join(f"{name}:\n" + "".join(f"  {line}\n" for line in lines) for name, lines in said.items())
    compare(text, SNAPSHOTS / "sentences.txt", rewrite=REWRITE)


def texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for each in value.values() for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [str(value)]


def policies(run: Run) -> list[Mapping[str, Any]]:
    return [each.inputs["policy"] for each in run.of("aws:iam/rolePolicy:RolePolicy")]


# These take no resource in IAM: the service authorization reference, read 2026-11-25.
WITHOUT_RESOURCE = {
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeAutoScalingInstances",
    "autoscaling:DescribeScalingActivities",
    "autoscaling:DescribeTags",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:GetInstanceTypesFromInstanceRequirements",
    "iam:ListInstanceProfiles",
    "logs:DescribeLogGroups",
    "pricing:GetProducts",
}


@pytest.mark.parametrize("name", NAMES)
def test_no_wildcard_action_on_everything(name: str) -> None:
    assert [wide_open(policy) for policy in policies(run_of(name))] == [[]] * len(policies(run_of(name)))


@pytest.mark.parametrize("name", NAMES)
def test_on_everything_only_what_takes_no_resource_or_what_aws_publishes(name: str) -> None:
    published = load_balancer_controller()
    own = [policy for policy in policies(run_of(name)) if policy != published]
    assert {action for policy in own for action in on_everything(policy)} <= WITHOUT_RESOURCE


@pytest.mark.parametrize("name", NAMES)
def test_nodes_and_control_plane_stand_in_private_subnets_only(name: str) -> None:
    groups = run_of(name).of("aws:eks/nodeGroup:NodeGroup")
    planes = [each.inputs["vpcConfig"] for each in run_of(name).of("aws:eks/cluster:Cluster")]
    subnets = [subnet for each in [*(group.inputs for group in groups), *planes] for subnet in each["subnetIds"]]
    assert subnets
    assert [subnet for subnet in subnets if "public" in subnet] == []


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_open_to_everyone_but_the_way_out(name: str) -> None:
    made = run_of(name).made
    open_ones = {each.type for each in made if "0.0.0.0/0" in texts(each.inputs)}
    assert open_ones <= {"aws:ec2/routeTable:RouteTable", "kubernetes:networking.k8s.io/v1:NetworkPolicy"}
    walls = [each.inputs["spec"]["ingress"] for each in made if each.type.endswith(":NetworkPolicy")]
    assert [wall for wall in walls if "0.0.0.0/0" in texts(wall)] == []


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_in_plain_text_and_no_machine_that_gives_its_role_to_pods(name: str) -> None:
    made = run_of(name).made
    assert [each.key for each in made if any(KEY in text for text in texts(each.inputs))] == []
    templates = [each.inputs["metadataOptions"] for each in made if each.type.endswith(":LaunchTemplate")]
    assert templates == [{"httpEndpoint": "enabled", "httpPutResponseHopLimit": 1, "httpTokens": "required"}] * len(
        templates
    )


@pytest.mark.parametrize("name", NAMES)
def test_no_group_s_size_is_fought_over_and_nothing_is_deleted_before_its_successor(name: str) -> None:
    groups = run_of(name).of("aws:eks/nodeGroup:NodeGroup")
    assert [group.ignore_changes for group in groups] == [["scalingConfig.desiredSize"]] * len(groups)
    assert [each.key for each in run_of(name).made if each.delete_before_replace] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_gpu_group_stands_in_one_zone_with_label_taint_and_disk(name: str) -> None:
    groups = [each for each in run_of(name).of("aws:eks/nodeGroup:NodeGroup") if "taints" in each.inputs]
    assert [group.inputs["taints"] for group in groups] == [
        [{"effect": "NO_SCHEDULE", "key": "nvidia.com/gpu", "value": "present"}]
    ] * len(groups)
    assert {group.inputs["labels"]["nvidia.com/gpu.present"] for group in groups} <= {"true"}
    zones = [{subnet[-1] for subnet in group.inputs["subnetIds"] if "id" in subnet} for group in groups]
    assert [len(zone) for zone in zones if zone] == [1] * len([zone for zone in zones if zone])


def releases(name: str) -> list[str]:
    return [each.inputs["name"] for each in run_of(name).of("kubernetes:helm.sh/v3:Release")]


def test_the_device_plugin_is_there_once_and_never_on_bottlerocket() -> None:
    counts = {name: releases(name).count("nvidia-device-plugin") for name in NAMES}
    assert counts == {**dict.fromkeys(WITH_CLUSTER, 1), "bottlerocket": 0, "shared": 0}


@pytest.mark.parametrize("name", WITH_CLUSTER)
def test_the_network_enforces_policies(name: str) -> None:
    (cni,) = [each for each in run_of(name).of("aws:eks/addon:Addon") if each.inputs["addonName"] == "vpc-cni"]
    assert cni.inputs["configurationValues"] == {"enableNetworkPolicy": "true"}


@pytest.mark.parametrize("name", WITH_CLUSTER)
def test_the_cluster_keeps_its_secrets_and_its_logs(name: str) -> None:
    run = run_of(name)
    (plane,) = run.of("aws:eks/cluster:Cluster")
    assert plane.inputs["accessConfig"]["authenticationMode"] == "API"
    assert plane.inputs["encryptionConfig"]["provider"]["keyArn"]
    assert plane.inputs["vpcConfig"]["endpointPrivateAccess"] is True
    assert {key.inputs["enableKeyRotation"] for key in run.of("aws:kms/key:Key")} <= {True}
    assert [group.inputs["retentionInDays"] > 0 for group in run.of("aws:cloudwatch/logGroup:LogGroup")]


def test_protected_in_production_and_not_where_it_is_not_asked_for() -> None:
    def planes(name: str) -> list[tuple[bool, Any]]:
        found: list[Recorded] = run_of(name).of("aws:eks/cluster:Cluster")
        return [(each.protect, each.inputs["deletionProtection"]) for each in found]

    assert (planes("minimal"), planes("given"), planes("cluster")) == (
        [(True, True)],
        [(False, False)],
        [(True, True)],
    )


def test_nothing_is_unmade_while_the_controller_still_needs_it() -> None:
    """An Ingress hangs where its controller has lost network or rights: the order of unmaking is that of `after`."""
    run = run_of("full")
    (gate,) = run.of("aws:ec2/natGateway:NatGateway")
    assert "takeover-prod-public-eu-central-1a" in gate.after
    (plane,) = run.of("aws:eks/cluster:Cluster")
    assert {f"takeover-prod-private-eu-central-1{zone}" for zone in "abc"} < set(plane.after)
    (api,) = run.of("pulumi:providers:kubernetes")
    assert {"takeover-prod-platform", "takeover-prod-team"} < set(api.after)
    (ingress,) = run.of("kubernetes:networking.k8s.io/v1:Ingress")
    assert {"load-balancer", "deployment"} < set(ingress.after)
    system = next(each for each in run.of("aws:eks/nodeGroup:NodeGroup") if each.name.endswith("-system"))
    assert {"takeover-prod-vpc-cni", "takeover-prod-node-AmazonEKSWorkerNodePolicy"} < set(system.after)


@pytest.mark.parametrize("name", NAMES)
def test_no_chart_gives_up_after_pulumi_s_five_minutes(name: str) -> None:
    assert {each.timeouts["create"] for each in run_of(name).of("kubernetes:helm.sh/v3:Release")} <= {"40m"}


def test_the_outputs_of_a_cluster_stack_are_what_others_read() -> None:
    exported = run_of("cluster").exported["cluster"]
    assert set(exported) == set(SHARED)
    assert serve_run(ON_SHARED, shared={**exported, "autoscaler": "cluster-autoscaler"}).of(
        "aws:eks/nodeGroup:NodeGroup"
    )


OTHERS = (
    ("region", "us-east-1", "takeover:eks.region is eu-central-1, but the cluster of"),
    ("autoscaler", "karpenter", "takeover:eks.autoscaler is cluster-autoscaler, but the cluster of"),
    ("ami", "bottlerocket", "takeover:eks.ami is al2023, but the cluster of"),
    ("cidr", "10.0.0.0/16", "takeover:eks.vpc.cidr is 10.64.0.0/16, but the cluster of"),
    ("privateSubnets", {"eu-central-1a": ["s"]}, "takeover:eks.zones names eu-central-1b, where the cluster of"),
)


@pytest.mark.parametrize(("key", "value", "said"), OTHERS, ids=[key for key, _, _ in OTHERS])
def test_a_shared_cluster_that_is_another_one_is_refused_in_the_preview(key: str, value: Any, said: str) -> None:
    with pytest.raises(WrongSetting) as caught:
        serve_run(ON_SHARED, shared={**SHARED, key: value}, preview=True)
    assert str(caught.value).startswith(said)


def test_a_stack_that_made_no_cluster_is_refused_in_the_preview() -> None:
    with pytest.raises(WrongSetting, match="which exports no cluster"):
        serve_run(ON_SHARED, shared=None, preview=True)
