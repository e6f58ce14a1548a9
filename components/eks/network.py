"""The network under a cluster: a VPC of the stack's own, in two zones or more, or a given one, left as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import cloudwatch, ec2, iam

from components.eks.layout import ZoneNetworks, parted
from takeover.aws.eks_policies import flow_logs
from takeover.aws.policies import as_json, trust
from takeover.settings._eks import EksOptions

__all__ = ["Network", "given_network", "own_network"]

Subnets = Mapping[str, pulumi.Output[list[str]]]


@dataclass(frozen=True)
class Network:
    """A VPC and its subnets' ids by zone; `routes` must be there before a node is."""

    vpc_id: pulumi.Output[str]
    private: Subnets
    public: pulumi.Output[list[str]]
    routes: Sequence[pulumi.Resource] = ()

    @property
    def all_private(self) -> pulumi.Output[list[str]]:
        """The private subnets of all zones."""
        return pulumi.Output.all(*self.private.values()).apply(lambda zones: [each for it in zones for each in it])


def given_network(options: EksOptions) -> Network:
    """The subnets that the settings name. Nothing of them is changed, no tag either."""
    vpc = options.vpc
    zones = sorted(set(vpc.private_subnets.values()))
    by_zone = {zone: sorted(each for each, of in vpc.private_subnets.items() if of == zone) for zone in zones}
    return Network(
        vpc_id=pulumi.Output.from_input(vpc.vpc_id or ""),
        private={zone: pulumi.Output.from_input(subnets) for zone, subnets in by_zone.items()},
        public=pulumi.Output.from_input(sorted(vpc.public_subnets)),
    )


def own_network(name: str, cluster: str, options: EksOptions, opts: pulumi.ResourceOptions) -> Network:
    """A VPC: private subnets for nodes and pods, public ones for load balancers and NAT only, flow logs.

    The load balancer controller finds the subnets by their tags, and so does whoever adds an Ingress by hand.
    """
    vpc = ec2.Vpc(
        name,
        cidr_block=options.vpc.cidr,
        enable_dns_hostnames=True,
        enable_dns_support=True,
        tags={"Name": name},
        opts=opts,
    )
    # Whoever forgets to name a security group gets one that lets nothing through.
    ec2.DefaultSecurityGroup(f"{name}-default", vpc_id=vpc.id, ingress=[], egress=[], opts=opts)
    zones = parted(options.vpc.cidr, options.zones)
    public = {zone.zone: _subnet(name, cluster, zone, vpc, opts, public=True) for zone in zones}
    private = {zone.zone: _subnet(name, cluster, zone, vpc, opts, public=False) for zone in zones}
    gates = _gates(name, vpc, public, opts, per_zone=options.vpc.nat_per_zone)
    tables = {zone: _private_table(name, zone, vpc, gates[zone], opts) for zone in private}
    routes = [
        ec2.RouteTableAssociation(
            f"{name}-private-{zone}", route_table_id=tables[zone].id, subnet_id=subnet.id, opts=opts
        )
        for zone, subnet in private.items()
    ]
    _endpoints(name, options, vpc, private, list(tables.values()), opts)
    _flow_logs(name, vpc, options.logs.retention_days, opts)
    return Network(
        vpc_id=vpc.id,
        private={zone: subnet.id.apply(lambda each: [each]) for zone, subnet in private.items()},
        public=pulumi.Output.all(*(subnet.id for subnet in public.values())).apply(list),
        routes=routes,
    )


def _subnet(
    name: str, cluster: str, zone: ZoneNetworks, vpc: ec2.Vpc, opts: pulumi.ResourceOptions, *, public: bool
) -> ec2.Subnet:
    kind, role = ("public", "elb") if public else ("private", "internal-elb")
    tags = {"Name": f"{name}-{kind}-{zone.zone}", f"kubernetes.io/role/{role}": "1"}
    return ec2.Subnet(
        f"{name}-{kind}-{zone.zone}",
        vpc_id=vpc.id,
        availability_zone=zone.zone,
        cidr_block=zone.public if public else zone.private,
        map_public_ip_on_launch=False,
        tags=tags if public else {**tags, "karpenter.sh/discovery": cluster},
        opts=opts,
    )


def _gates(
    name: str, vpc: ec2.Vpc, public: Mapping[str, ec2.Subnet], opts: pulumi.ResourceOptions, *, per_zone: bool
) -> Mapping[str, ec2.NatGateway]:
    """The NAT gateway of each zone: its own, so that a zone's loss is its own, or one for all, which is cheaper."""
    gateway = ec2.InternetGateway(name, vpc_id=vpc.id, tags={"Name": name}, opts=opts)
    table = ec2.RouteTable(
        f"{name}-public",
        vpc_id=vpc.id,
        routes=[ec2.RouteTableRouteArgs(cidr_block="0.0.0.0/0", gateway_id=gateway.id)],
        tags={"Name": f"{name}-public"},
        opts=opts,
    )
    routes = {
        zone: ec2.RouteTableAssociation(
            f"{name}-public-{zone}", route_table_id=table.id, subnet_id=subnet.id, opts=opts
        )
        for zone, subnet in public.items()
    }
    made: dict[str, ec2.NatGateway] = {}
    for zone in list(public) if per_zone else list(public)[:1]:
        address = ec2.Eip(f"{name}-nat-{zone}", domain="vpc", tags={"Name": f"{name}-nat-{zone}"}, opts=opts)
        made[zone] = ec2.NatGateway(
            f"{name}-{zone}",
            allocation_id=address.allocation_id,
            subnet_id=public[zone].id,
            tags={"Name": f"{name}-{zone}"},
            # Unmade before its own way out: the controller needs it until the last load balancer is gone.
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[gateway, routes[zone]])),
        )
    only = next(iter(made.values()))
    return {zone: made.get(zone, only) for zone in public}


def _private_table(
    name: str, zone: str, vpc: ec2.Vpc, gate: ec2.NatGateway, opts: pulumi.ResourceOptions
) -> ec2.RouteTable:
    return ec2.RouteTable(
        f"{name}-private-{zone}",
        vpc_id=vpc.id,
        routes=[ec2.RouteTableRouteArgs(cidr_block="0.0.0.0/0", nat_gateway_id=gate.id)],
        tags={"Name": f"{name}-private-{zone}"},
        opts=opts,
    )


def _endpoints(
    name: str,
    options: EksOptions,
    vpc: ec2.Vpc,
    private: Mapping[str, ec2.Subnet],
    tables: Sequence[ec2.RouteTable],
    opts: pulumi.ResourceOptions,
) -> None:
    """S3's costs nothing and takes image layers and adapters past the NAT; ECR's two keep images in the network."""
    service = f"com.amazonaws.{options.region}"
    ec2.VpcEndpoint(
        f"{name}-s3",
        vpc_id=vpc.id,
        service_name=f"{service}.s3",
        vpc_endpoint_type="Gateway",
        route_table_ids=[table.id for table in tables],
        tags={"Name": f"{name}-s3"},
        opts=opts,
    )
    if not options.vpc.ecr_endpoints:
        return
    group = ec2.SecurityGroup(
        f"{name}-endpoints",
        vpc_id=vpc.id,
        description="TLS from the VPC to the interface endpoints",
        ingress=[
            ec2.SecurityGroupIngressArgs(protocol="tcp", from_port=443, to_port=443, cidr_blocks=[options.vpc.cidr])
        ],
        egress=[],
        tags={"Name": f"{name}-endpoints"},
        opts=opts,
    )
    for each in ("ecr.api", "ecr.dkr"):
        ec2.VpcEndpoint(
            f"{name}-{each}",
            vpc_id=vpc.id,
            service_name=f"{service}.{each}",
            vpc_endpoint_type="Interface",
            private_dns_enabled=True,
            subnet_ids=[subnet.id for subnet in private.values()],
            security_group_ids=[group.id],
            tags={"Name": f"{name}-{each}"},
            opts=opts,
        )


def _flow_logs(name: str, vpc: ec2.Vpc, days: int, opts: pulumi.ResourceOptions) -> None:
    group = cloudwatch.LogGroup(f"{name}-flow", name=f"/takeover/{name}/flow", retention_in_days=days, opts=opts)
    role = iam.Role(f"{name}-flow", assume_role_policy=as_json(trust("vpc-flow-logs.amazonaws.com")), opts=opts)
    iam.RolePolicy(
        f"{name}-flow",
        role=role.name,
        policy=group.arn.apply(lambda arn: as_json(flow_logs(arn.removesuffix(":*")))),
        opts=opts,
    )
    ec2.FlowLog(
        name,
        vpc_id=vpc.id,
        traffic_type="ALL",
        log_destination=group.arn,
        iam_role_arn=role.arn,
        tags={"Name": name},
        opts=opts,
    )
