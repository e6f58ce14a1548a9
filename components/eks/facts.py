"""What a stack that serves must know of a cluster, whether it made it or another stack did."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from takeover.settings._eks import EksOptions
from takeover.settings._raw import WrongSetting, join

__all__ = ["ClusterFacts", "kubeconfig", "shared_cluster"]

Text = pulumi.Output[str]


@dataclass(frozen=True)
class ClusterFacts:
    """A cluster. `private_subnets` has the ids of each zone."""

    name: Text
    version: Text
    region: str
    cidr: str
    endpoint: Text
    certificate_authority: Text
    vpc_id: Text
    security_group: Text
    private_subnets: Mapping[str, pulumi.Output[list[str]]]
    public_subnets: pulumi.Output[list[str]]
    node_role: Text
    instance_profile: Text
    autoscaler: str
    ami: str

    def outputs(self) -> dict[str, Any]:
        """What the stack that made it exports as `cluster`. No secret: it takes IAM rights to get in."""
        return {
            "schemaVersion": 1,
            "name": self.name,
            "version": self.version,
            "region": self.region,
            "cidr": self.cidr,
            "endpoint": self.endpoint,
            "certificateAuthority": self.certificate_authority,
            "vpcId": self.vpc_id,
            "securityGroup": self.security_group,
            "privateSubnets": dict(self.private_subnets),
            "publicSubnets": self.public_subnets,
            "nodeRole": self.node_role,
            "instanceProfile": self.instance_profile,
            "autoscaler": self.autoscaler,
            "ami": self.ami,
        }


def shared_cluster(options: EksOptions) -> ClusterFacts:
    """The cluster that the stack `clusterStack` exports.

    What this stack says of it is compared as soon as it is known, in the preview already; Refused where it differs.
    """
    stack = options.cluster_stack or ""
    wanted = {
        "region": options.region,
        "autoscaler": options.autoscaler,
        "ami": options.ami,
        "vpc.cidr": options.vpc.cidr,
    }
    told = (
        pulumi.StackReference(stack).get_output("cluster").apply(lambda it: _as_told(it, stack, wanted, options.zones))
    )

    def text(key: str) -> Text:
        return told.apply(lambda it: str(it[key]))

    def subnets(zone: str) -> pulumi.Output[list[str]]:
        return told.apply(lambda it: list(it["privateSubnets"][zone]))

    return ClusterFacts(
        name=text("name"),
        version=text("version"),
        region=options.region,
        cidr=options.vpc.cidr,
        endpoint=text("endpoint"),
        certificate_authority=text("certificateAuthority"),
        vpc_id=text("vpcId"),
        security_group=text("securityGroup"),
        private_subnets={zone: subnets(zone) for zone in options.zones},
        public_subnets=told.apply(lambda it: list(it["publicSubnets"])),
        node_role=text("nodeRole"),
        instance_profile=text("instanceProfile"),
        autoscaler=options.autoscaler,
        ami=options.ami,
    )


def _as_told(
    told: Mapping[str, Any] | None, stack: str, wanted: Mapping[str, str], zones: Sequence[str]
) -> Mapping[str, Any]:
    if told is None:
        where = join("eks", "clusterStack")
        raise WrongSetting(
            f"{where} is {stack}, which exports no cluster.",
            fix="`takeover up` it first: it is a stack whose takeover:eks has role: cluster.",
            where=where,
        )
    for key, value in wanted.items():
        there = told[key.rpartition(".")[2]]
        if there != value:
            where = join("eks", *key.split("."))
            raise WrongSetting(
                f"{where} is {value}, but the cluster of {stack} has {there}.",
                fix=f"Write {there}, as there.",
                where=where,
            )
    missing = [zone for zone in zones if zone not in told["privateSubnets"]]
    if missing:
        has, where = ", ".join(sorted(told["privateSubnets"])), join("eks", "zones")
        happened = f"{where} names {missing[0]}, where the cluster of {stack} has no subnet."
        raise WrongSetting(happened, fix=f"It has {has}.", where=where)
    return told


def kubeconfig(facts: ClusterFacts) -> Text:
    """How to reach it: by whoever runs Pulumi, whose token the AWS command line makes anew each time. No secret."""
    return pulumi.Output.all(facts.name, facts.endpoint, facts.certificate_authority).apply(
        lambda it: json.dumps(_kubeconfig(*it, region=facts.region))
    )


def _kubeconfig(name: str, endpoint: str, authority: str, *, region: str) -> dict[str, Any]:
    command = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "aws",
        "args": ["eks", "get-token", "--cluster-name", name, "--region", region, "--output", "json"],
        "interactiveMode": "Never",
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": endpoint, "certificate-authority-data": authority}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
        "users": [{"name": name, "user": {"exec": command}}],
    }
