"""Where one endpoint's pods stand: a cluster, its GPU nodes, the pods' role, and how they are reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from components.eks.cluster import EksCluster, aws_provider, cluster_sentences, kubernetes_provider
from components.eks.facts import ClusterFacts, shared_cluster
from components.eks.karpenter_pool import karpenter_pool
from components.eks.nodes import gpu_groups
from components.eks.pods import bucket_folders, inbound_cidrs, platform, pool_name
from components.eks.roles import pod_role
from takeover.aws.eks_policies import adapter_reader
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.settings._eks import EksOptions
from takeover.settings._eks_mistakes import zones_of

__all__ = ["Place", "make_place", "place_sentences", "platform"]


@dataclass(frozen=True)
class Place:
    """A cluster that is ready for the pods of one endpoint: they wait for `ready`, and go before it goes."""

    facts: ClusterFacts
    aws: aws.Provider
    kubernetes: kubernetes.Provider
    ready: Sequence[pulumi.Resource]


def make_place(
    spec: EndpointSpec,
    models: Sequence[TrainedModel],
    options: EksOptions,
    *,
    namespace: str,
    service_account: str,
    protect: bool,
    parent: pulumi.Resource,
) -> Place:
    """A cluster made here, or another stack's, and on it this stack's machines and its pods' role.

    The machines belong to the stack, not to the base: a change of base moves pods, and makes no new machines.
    """
    name = pool_name(spec)
    below = pulumi.ResourceOptions(parent=parent)
    if options.cluster_stack is None:
        cluster = EksCluster(name, options, labels=spec.labels, protect=protect, opts=below)
        facts, cloud, api = cluster.facts, cluster.aws, cluster.kubernetes
        for_nodes, ready = cluster.for_nodes, list(cluster.for_pods)
    else:
        facts, for_nodes, ready = shared_cluster(options), [], []
        cloud = aws_provider(name, options, spec.labels, below)
        api = kubernetes_provider(name, facts, below)
    in_aws = pulumi.ResourceOptions(parent=parent, provider=cloud, depends_on=for_nodes)
    if options.autoscaler == "karpenter":
        in_cluster = pulumi.ResourceOptions(parent=parent, provider=api, depends_on=list(ready))
        machines: Sequence[pulumi.Resource] = karpenter_pool(
            name, facts, options, zones_of(options), spec.labels, in_cluster
        )
    else:
        machines = gpu_groups(name, facts, options, zones_of(options), in_aws)
    ready += machines
    folders = bucket_folders(models)
    if folders:
        role = pod_role(
            f"{spec.name}-pods",
            cluster_name=facts.name,
            namespace=namespace,
            service_account=service_account,
            policy=adapter_reader(folders, region=options.region, key_arn=options.adapter_key_arn),
            opts=in_aws,
        )
        ready.append(role)
    return Place(facts, cloud, api, ready)


def place_sentences(spec: EndpointSpec, options: EksOptions) -> Iterator[str]:
    """In words: cluster, machines, and who may ask. Pure."""
    name = pool_name(spec)
    if options.cluster_stack is None:
        yield from cluster_sentences(name, options)
    else:
        yield f"{name}: on the cluster of {options.cluster_stack}, in {options.region}"
    disk, nodes = options.disk, options.nodes
    yield (
        f"{name}: {nodes.min} to {nodes.max} {options.instance_type} ({options.capacity_type}, {options.ami}) in "
        f"{', '.join(zones_of(options))}, {disk.size_gib} GiB of disk each, by {options.autoscaler}"
    )
    if options.scheme == "none":
        yield f"{name}: reached from inside the cluster only (scheme: none)"
    else:
        who = ", ".join(inbound_cidrs(options))
        yield f"{name}: {options.scheme} load balancer for https://{options.hostname}, open to {who}"
