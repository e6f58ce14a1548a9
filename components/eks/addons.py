"""What is in every cluster: EKS's own add-ons, and the charts beside them, each with its version, source and date."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import eks
from pulumi_kubernetes.helm import v3 as helm

from components.eks.roles import pod_role
from takeover.aws.eks_policies import CNI_POLICIES, EBS_POLICIES
from takeover.settings._eks import EksOptions

__all__ = ["CHARTS", "Chart", "addons_after_nodes", "addons_before_nodes", "optional_charts", "release"]

# An image of several GB, or a node that has to come first: Pulumi's own 5 minutes are too few.
_WAIT = pulumi.CustomTimeouts(create="40m", update="40m", delete="20m")


@dataclass(frozen=True)
class Chart:
    """A Helm chart: `repository` is None where `name` is an OCI address."""

    name: str
    version: str
    repository: str | None
    namespace: str


# Newest in the projects' repositories when read, 2026-11-25: aws-load-balancer-controller 2026-08-17, karpenter
# 2026-08-21, autoscaler and kube-prometheus-stack 2026-08-22, keda 2026-08-13. Device plugin: its facts, 2026-11-24.
CHARTS: Mapping[str, Chart] = {
    "device-plugin": Chart(
        "nvidia-device-plugin", "0.20.0", "https://nvidia.github.io/k8s-device-plugin", "kube-system"
    ),
    "load-balancer": Chart("aws-load-balancer-controller", "3.5.0", "https://aws.github.io/eks-charts", "kube-system"),
    "cluster-autoscaler": Chart(
        "cluster-autoscaler", "9.59.0", "https://kubernetes.github.io/autoscaler", "kube-system"
    ),
    "karpenter": Chart("oci://public.ecr.aws/karpenter/karpenter", "1.14.1", None, "kube-system"),
    "keda": Chart("keda", "2.20.2", "https://kedacore.github.io/charts", "keda"),
    "kube-prometheus-stack": Chart(
        "kube-prometheus-stack", "88.5.3", "https://prometheus-community.github.io/helm-charts", "monitoring"
    ),
}


_OFF = {"enabled": False}
# PodMonitors and rules of every namespace, whatever release made them. EKS shows no etcd, scheduler or controller
# manager: watched, they would be alarms that never end. Grafana would come with a password that everybody knows.
_PROMETHEUS: Mapping[str, Any] = {
    "prometheus": {
        "prometheusSpec": {
            "podMonitorSelectorNilUsesHelmValues": False,
            "serviceMonitorSelectorNilUsesHelmValues": False,
            "ruleSelectorNilUsesHelmValues": False,
        }
    },
    "grafana": _OFF,
    "kubeControllerManager": _OFF,
    "kubeEtcd": _OFF,
    "kubeScheduler": _OFF,
}


def release(
    name: str, chart: Chart, values: Mapping[str, Any], opts: pulumi.ResourceOptions, *, release_name: str = ""
) -> helm.Release:
    """A chart in the cluster, waited for; one that fails is taken away again, so that `up` can be run anew."""
    repository = helm.RepositoryOptsArgs(repo=chart.repository) if chart.repository is not None else None
    return helm.Release(
        name,
        name=release_name or chart.name.rpartition("/")[2],
        chart=chart.name,
        version=chart.version,
        repository_opts=repository,
        namespace=chart.namespace,
        create_namespace=chart.namespace != "kube-system",
        atomic=True,
        timeout=1200,
        values=dict(values),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(custom_timeouts=_WAIT)),
    )


def addons_before_nodes(name: str, cluster: eks.Cluster, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """What a node needs to become ready: network, proxy, and the agent that gives pods their roles.

    The CNI enforces NetworkPolicies only where it is told to. Its role is its own, by Pod Identity.
    """
    agent = _addon(name, "eks-pod-identity-agent", cluster, opts)
    network = pod_role(
        f"{name}-vpc-cni",
        cluster_name=cluster.name,
        namespace="kube-system",
        service_account="aws-node",
        managed=CNI_POLICIES,
        opts=opts,
    )
    after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[network]))
    cni = _addon(name, "vpc-cni", cluster, after, {"enableNetworkPolicy": "true"})
    return [agent, cni, _addon(name, "kube-proxy", cluster, opts)]


def addons_after_nodes(
    name: str, cluster: eks.Cluster, options: EksOptions, opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Names, the metrics that HPAs read, and volumes where they are wanted.

    And the agent by which EKS sees a broken GPU (NVIDIA's XID errors in the kernel's log): without it node repair knows
    only nodes that are not ready (docs.aws.amazon.com/eks/latest/userguide/node-health.html, read 2026-11-25).
    """
    names = ("coredns", "metrics-server", "eks-node-monitoring-agent")
    made: list[pulumi.Resource] = [_addon(name, each, cluster, opts) for each in names]
    if options.ebs_volumes:
        role = pod_role(
            f"{name}-ebs-csi",
            cluster_name=cluster.name,
            namespace="kube-system",
            service_account="ebs-csi-controller-sa",
            managed=EBS_POLICIES,
            opts=opts,
        )
        after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[role]))
        made.append(_addon(name, "aws-ebs-csi-driver", cluster, after))
    return made


def _addon(
    name: str,
    addon: str,
    cluster: eks.Cluster,
    opts: pulumi.ResourceOptions,
    values: Mapping[str, Any] | None = None,
) -> eks.Addon:
    """One of EKS's add-ons, at the version that EKS has as default for the cluster's Kubernetes."""
    return eks.Addon(
        f"{name}-{addon}",
        cluster_name=cluster.name,
        addon_name=addon,
        configuration_values=json.dumps(values, sort_keys=True) if values else None,
        resolve_conflicts_on_create="OVERWRITE",
        resolve_conflicts_on_update="OVERWRITE",
        opts=opts,
    )


def optional_charts(names: Sequence[str], opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """What an endpoint may want and a cluster of others has already: KEDA, Prometheus with its operator."""
    return [release(name, CHARTS[name], _PROMETHEUS if name == "kube-prometheus-stack" else {}, opts) for name in names]
