"""`EksCluster`: a network, EKS's control plane, small nodes, and what every cluster has in it. No GPU yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes
from pulumi_aws import eks, iam

from components.eks.addons import CHARTS, addons_after_nodes, addons_before_nodes, optional_charts, release
from components.eks.autoscaling import install_autoscaler, install_karpenter
from components.eks.control_plane import access_entries, control_plane
from components.eks.facts import ClusterFacts, kubeconfig
from components.eks.ingress import install_load_balancer_controller
from components.eks.network import Network, given_network, own_network
from components.eks.nodes import system_group
from components.eks.roles import Role, service_role
from takeover.aws.eks_policies import NODE_POLICIES
from takeover.settings._eks import EksOptions

__all__ = ["EksCluster", "aws_provider", "cluster_sentences", "kubernetes_provider"]


class EksCluster(pulumi.ComponentResource):
    """`takeover:eks:Cluster`. `facts` is what those who serve on it must know, `facts.outputs()` what others read.

    Order, both ways: network, control plane, network add-on, system nodes, then what runs on them. So an Ingress is
    taken down while its controller still runs, and leaves no load balancer behind.
    """

    def __init__(
        self,
        name: str,
        options: EksOptions,
        *,
        labels: Mapping[str, str],
        protect: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("takeover:eks:Cluster", name, {}, opts)
        self.aws = aws_provider(name, options, labels, pulumi.ResourceOptions(parent=self))
        below = pulumi.ResourceOptions(parent=self, provider=self.aws)
        network = own_network(name, name, options, below) if options.vpc.vpc_id is None else given_network(options)
        plane = control_plane(name, options, network, below, protect=protect)
        entries = access_entries(name, plane, options.access_entries, below)
        node_role = service_role(f"{name}-node", "ec2.amazonaws.com", NODE_POLICIES, below)
        # What a further node needs, and what pods need.
        self.for_nodes = addons_before_nodes(name, plane, below)
        waited = pulumi.ResourceOptions.merge(below, pulumi.ResourceOptions(depends_on=self.for_nodes))
        nodes = system_group(name, plane, options, network.all_private, node_role.arn, waited)
        on_nodes = pulumi.ResourceOptions.merge(below, pulumi.ResourceOptions(depends_on=[nodes]))
        self.for_pods = addons_after_nodes(name, plane, options, on_nodes)
        self.facts = _facts(
            plane, network, node_role, iam.InstanceProfile(f"{name}-node", role=node_role.name, opts=below), options
        )
        # Whoever unmakes the cluster needs the rights until the last object in it is gone.
        reached = pulumi.ResourceOptions(parent=self, depends_on=entries)
        self.kubernetes = kubernetes_provider(name, self.facts, reached)
        charts = pulumi.ResourceOptions(parent=self, provider=self.kubernetes)
        self.for_pods += _controllers(name, plane, network, node_role.arn, options, self.for_pods, below, charts)
        self.register_outputs({"cluster": self.facts.outputs()})


def _facts(
    plane: eks.Cluster, network: Network, node_role: Role, profile: iam.InstanceProfile, options: EksOptions
) -> ClusterFacts:
    return ClusterFacts(
        name=plane.name,
        version=plane.version,
        region=options.region,
        cidr=options.vpc.cidr,
        endpoint=plane.endpoint,
        certificate_authority=plane.certificate_authority.data,
        vpc_id=network.vpc_id,
        security_group=plane.vpc_config.cluster_security_group_id,
        private_subnets=network.private,
        public_subnets=network.public,
        node_role=node_role.arn,
        instance_profile=profile.name,
        autoscaler=options.autoscaler,
        ami=options.ami,
    )


def _controllers(
    name: str,
    plane: eks.Cluster,
    network: Network,
    node_role: pulumi.Output[str],
    options: EksOptions,
    basics: Sequence[pulumi.Resource],
    below: pulumi.ResourceOptions,
    charts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """What runs on the system nodes by a chart: load balancers, GPUs, more nodes, and what the pods want."""
    after = pulumi.ResourceOptions.merge(charts, pulumi.ResourceOptions(depends_on=list(basics)))
    made = [install_load_balancer_controller(name, plane, network.vpc_id, options, basics, below, charts)]
    if options.ami == "al2023":
        # Bottlerocket has the device plugin in it; a second one would offer every GPU twice.
        made.append(release("device-plugin", CHARTS["device-plugin"], {}, after))
    if options.autoscaler == "karpenter":
        made.append(install_karpenter(name, plane, node_role, options, basics, below, charts))
    elif options.autoscaler == "cluster-autoscaler":
        made.append(install_autoscaler(name, plane, options, basics, below, charts))
    return made + optional_charts(options.install or (), after)


def aws_provider(
    name: str, options: EksOptions, labels: Mapping[str, str], opts: pulumi.ResourceOptions
) -> aws.Provider:
    """AWS in the stack's region, whatever the shell's default is; in the account of the certificate, and no other."""
    named = options.certificate_arn or options.kms_key_arn
    return aws.Provider(
        name,
        region=options.region,
        allowed_account_ids=[named.split(":")[4]] if named is not None else None,
        default_tags=aws.ProviderDefaultTagsArgs(tags={f"takeover:{key}": value for key, value in labels.items()}),
        opts=opts,
    )


def kubernetes_provider(name: str, facts: ClusterFacts, opts: pulumi.ResourceOptions) -> kubernetes.Provider:
    """The cluster's API. It is replaced only where the cluster is another one."""
    return kubernetes.Provider(
        name,
        kubeconfig=kubeconfig(facts),
        cluster_identifier=facts.name,
        enable_server_side_apply=True,
        opts=opts,
    )


def cluster_sentences(name: str, options: EksOptions) -> Iterator[str]:
    """In words: what is made, and what is open. Pure."""
    where = "a VPC of its own" if options.vpc.vpc_id is None else options.vpc.vpc_id
    yield f"EKS cluster {name}: Kubernetes {options.kubernetes_version} in {options.region}, in {where}"
    if options.api_public_cidrs:
        yield f"{name}: Kubernetes' API is open to {', '.join(options.api_public_cidrs)}, and to IAM rights only"
    else:
        new = "" if options.vpc.vpc_id else "; of a VPC that this run makes nobody is inside yet"
        yield (
            f"{name}: Kubernetes' API can be reached from inside the VPC only, so `up` must be run there (a VPN, or a "
            f"runner in the VPC){new}. takeover:eks.apiPublicCidrs names networks that may reach it from outside"
        )
    if options.support == "standard":
        yield f"{name}: AWS updates Kubernetes by itself at the end of standard support; support: extended does not"
