"""IAM roles of a cluster, each with its policies and with who may take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import eks, iam

from takeover.aws.policies import as_json, trust, trust_pods

__all__ = ["Role", "pod_role", "service_role"]


@dataclass(frozen=True)
class Role:
    """A role's name and ARN. Whatever uses the ARN comes after the role's policies, and goes before them: nodes and
    control planes that lose their rights first leave network interfaces behind."""

    name: pulumi.Output[str]
    arn: pulumi.Output[str]


def service_role(name: str, service: str, managed: Sequence[str], opts: pulumi.ResourceOptions) -> Role:
    """A role that one AWS service takes, with AWS's own policies attached."""
    role = iam.Role(name, assume_role_policy=as_json(trust(service)), opts=opts)
    attached = [
        iam.RolePolicyAttachment(f"{name}-{arn.rpartition('/')[2]}", role=role.name, policy_arn=arn, opts=opts)
        for arn in managed
    ]
    ids = pulumi.Output.all(*(each.id for each in attached))
    return Role(role.name, pulumi.Output.all(role.arn, ids).apply(lambda it: str(it[0])))


def pod_role(
    name: str,
    *,
    cluster_name: pulumi.Input[str],
    namespace: str,
    service_account: str,
    opts: pulumi.ResourceOptions,
    policy: pulumi.Input[Mapping[str, Any]] | None = None,
    managed: Sequence[str] = (),
) -> eks.PodIdentityAssociation:
    """A role for the pods of one service account in one cluster, and nobody else."""
    document = pulumi.Output.from_input(cluster_name).apply(
        lambda cluster: as_json(trust_pods(namespace, service_account, cluster=cluster))
    )
    role = iam.Role(name, assume_role_policy=document, opts=opts)
    rights: list[pulumi.Resource] = [
        iam.RolePolicyAttachment(f"{name}-{arn.rpartition('/')[2]}", role=role.name, policy_arn=arn, opts=opts)
        for arn in managed
    ]
    if policy is not None:
        text = pulumi.Output.from_input(policy).apply(as_json)
        rights.append(iam.RolePolicy(name, role=role.name, policy=text, opts=opts))
    return eks.PodIdentityAssociation(
        name,
        cluster_name=cluster_name,
        namespace=namespace,
        service_account=service_account,
        role_arn=role.arn,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=rights)),
    )
