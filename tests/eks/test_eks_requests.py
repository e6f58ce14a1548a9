"""What AWS's provider would send for these resources: valid by botocore's own models, and taken by moto's EKS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import boto3
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape
from botocore.validate import ParamValidator
from fakes.eks_stacks import run_of
from moto import mock_aws

from components.eks.nodes import GPU_AMI, PLAIN_AMI
from takeover.settings._eks import EksOptions

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pulumi_aws")

EKS = ServiceModel(Loader().load_service_model("eks", "service-2"))


def cluster_request(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """CreateCluster from pulumi's inputs (terraform-provider-aws's names, one to one but for these)."""
    renamed = {"vpcConfig": "resourcesVpcConfig"}
    request = {renamed.get(key, key): value for key, value in inputs.items()}
    request["logging"] = {"clusterLogging": [{"types": request.pop("enabledClusterLogTypes"), "enabled": True}]}
    request["encryptionConfig"] = [request["encryptionConfig"]]
    return request


def group_request(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    renamed = {"nodeRoleArn": "nodeRole", "subnetIds": "subnets"}
    return {"nodegroupName": name, **{renamed.get(key, key): value for key, value in inputs.items()}}


def addon_request(inputs: Mapping[str, Any]) -> dict[str, Any]:
    left_out = ("resolveConflictsOnCreate", "resolveConflictsOnUpdate", "configurationValues")
    return {**{key: value for key, value in inputs.items() if key not in left_out}, "resolveConflicts": "OVERWRITE"}


def entry_request(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return dict(inputs)


def requests_of(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    run = run_of(name)
    yield from (("CreateCluster", cluster_request(each.inputs)) for each in run.of("aws:eks/cluster:Cluster"))
    groups = run.of("aws:eks/nodeGroup:NodeGroup")
    yield from (("CreateNodegroup", group_request(each.name, each.inputs)) for each in groups)
    yield from (("CreateAddon", addon_request(each.inputs)) for each in run.of("aws:eks/addon:Addon"))
    for kind, operation in (
        ("podIdentityAssociation:PodIdentityAssociation", "CreatePodIdentityAssociation"),
        ("accessEntry:AccessEntry", "CreateAccessEntry"),
        ("accessPolicyAssociation:AccessPolicyAssociation", "AssociateAccessPolicy"),
    ):
        yield from ((operation, entry_request(each.inputs)) for each in run.of(f"aws:eks/{kind}"))


def wrong_enums(shape: Shape, value: Any, where: str = "") -> list[str]:
    """The values that the model's enumerations do not have; botocore's own validation leaves them to the server."""
    if shape.type_name == "structure":
        inner = ((key, shape.members[key], each) for key, each in value.items())
        return [wrong for key, member, each in inner for wrong in wrong_enums(member, each, f"{where}.{key}")]
    if shape.type_name == "list":
        return [wrong for each in value for wrong in wrong_enums(shape.member, each, where)]
    enum = shape.metadata.get("enum")
    return [f"{where}: {value}"] if enum and value not in enum else []


def test_every_request_is_valid_by_aws_s_models() -> None:
    found = list(requests_of("full"))
    assert {operation for operation, _ in found} == {
        "CreateCluster",
        "CreateNodegroup",
        "CreateAddon",
        "CreatePodIdentityAssociation",
        "CreateAccessEntry",
        "AssociateAccessPolicy",
    }
    for operation, request in found:
        shape = EKS.operation_model(operation).input_shape
        assert ParamValidator().validate(request, shape).generate_report() == ""
        assert wrong_enums(shape, request) == []


def test_a_wrong_value_is_found() -> None:
    shape = EKS.operation_model("CreateNodegroup").input_shape
    request = {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}], "amiType": "AL2023"}
    assert "Missing required parameter" in ParamValidator().validate(request, shape).generate_report()
    assert wrong_enums(shape, request) == [".taints.effect: NoSchedule", ".amiType: AL2023"]


def test_the_settings_values_are_aws_s() -> None:
    capacity = EKS.shape_for("CapacityTypes").metadata["enum"]
    assert set(get_args(EksOptions.model_fields["capacity_type"].annotation)) <= set(capacity)
    assert {*GPU_AMI.values(), *PLAIN_AMI.values()} <= set(EKS.shape_for("AMITypes").metadata["enum"])


def test_moto_makes_the_cluster_and_its_groups_and_takes_them_away(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "testing")
    with mock_aws():
        eks = boto3.client("eks", region_name="eu-central-1")
        made = {
            operation: [request for each, request in requests_of("full") if each == operation]
            for operation, _ in requests_of("full")
        }
        (cluster,) = made["CreateCluster"]
        role = "arn:aws:iam::123456789012:role/r"
        eks.create_cluster(**{**cluster, "roleArn": role})
        for group in made["CreateNodegroup"]:
            eks.create_nodegroup(**{**group, "nodeRole": role})
        groups = eks.list_nodegroups(clusterName=cluster["name"])["nodegroups"]
        described = eks.describe_cluster(name=cluster["name"])["cluster"]
        assert (described["version"], described["resourcesVpcConfig"]["endpointPublicAccess"]) == ("1.36", True)
        assert sorted(groups) == sorted(group["nodegroupName"] for group in made["CreateNodegroup"])
        for group in groups:
            eks.delete_nodegroup(clusterName=cluster["name"], nodegroupName=group)
        eks.delete_cluster(name=cluster["name"])
        assert eks.list_clusters()["clusters"] == []
