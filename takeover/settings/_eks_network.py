"""`takeover:eks`: mistakes about networks: the VPC, who may ask, and the load balancer. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, ip_network

from pydantic.alias_generators import to_camel

from takeover.errors import Refused
from takeover.settings._eks import EksOptions
from takeover.settings._raw import WrongSetting, join, shown

__all__ = [
    "arn_mistakes",
    "cidr_mistakes",
    "cidr_of_others_mistakes",
    "ingress_mistakes",
    "is_region",
    "is_zone",
    "vpc_mistakes",
    "wrong",
]

_KEY = "eks"
EVERYWHERE = "0.0.0.0/0"
_REGION = re.compile(r"^(af|ap|ca|eu|il|me|mx|sa|us)-[a-z]+-\d$")


def wrong(key: str, said: str, *path: str | int, why: str = "", fix: str) -> Refused:
    where = join(_KEY, key, *path)
    return WrongSetting(f"{where} {said}", why=why, fix=fix, where=where)


def is_region(text: str) -> bool:
    """Whether it has the form of one of AWS's commercial regions."""
    return _REGION.match(text) is not None


def is_zone(zone: str, region: str) -> bool:
    return re.fullmatch(re.escape(region) + "[a-z]", zone) is not None


def vpc_mistakes(options: EksOptions) -> Iterator[Refused]:
    vpc = options.vpc
    if vpc.vpc_id is None:
        yield from _own_vpc_mistakes(options)
        return
    yield from cidr_of_others_mistakes(options)
    for name in sorted(vpc.model_fields_set & {"nat_per_zone", "ecr_endpoints"}):
        said = f"is set, but the VPC is given ({vpc.vpc_id})."
        yield wrong("vpc", said, to_camel(name), fix="Remove it, or remove vpcId.")
    if options.zones:
        yield wrong("zones", "is set, but the given subnets have their zones.", fix="Remove it.")
    if not vpc.vpc_id.startswith("vpc-"):
        yield wrong("vpc", f"is {shown(vpc.vpc_id)}, but must be a VPC's id.", "vpcId", fix="It begins with vpc-.")
    yield from _subnet_mistakes("privateSubnets", vpc.private_subnets, needed=True)
    outside = options.scheme == "internet-facing"
    yield from _subnet_mistakes("publicSubnets", vpc.public_subnets, needed=outside)
    for subnet in sorted(set(vpc.private_subnets) & set(vpc.public_subnets)):
        said = "is named under privateSubnets too: it cannot be both."
        yield wrong("vpc", said, "publicSubnets", subnet, fix="Nodes stand in private subnets; remove one of the two.")


def _subnet_mistakes(key: str, subnets: Mapping[str, str], *, needed: bool) -> Iterator[Refused]:
    for subnet in subnets:
        if not re.fullmatch(r"subnet-[0-9a-f]+", subnet):
            yield wrong("vpc", "is no subnet's id.", key, subnet, fix="Write {subnet-0a1b2c: zone}.")
    zones = sorted(set(subnets.values()))
    if len(zones) < 2 and (needed or subnets):
        only = f"are in one zone only, {zones[0]}" if zones else "are missing"
        yield wrong(
            "vpc",
            f"{only}: EKS and its load balancer want two.",
            key,
            why="The loss of a zone would be the loss of the endpoint.",
            fix="Name subnets in two zones or more, as {subnetId: zone}.",
        )


def _own_vpc_mistakes(options: EksOptions) -> Iterator[Refused]:
    for key, given in (
        ("privateSubnets", options.vpc.private_subnets),
        ("publicSubnets", options.vpc.public_subnets),
    ):
        if given:
            yield wrong("vpc", "is set, but vpcId is not.", key, fix="Add vpcId, or remove it.")
    if len(set(options.zones)) < 2 and not options.vpc.private_subnets:
        found = f"has one zone only, {options.zones[0]}" if options.zones else "is missing"
        yield wrong(
            "zones",
            f"{found}: EKS wants two or more.",
            why="Which zones have the machines differs by account: `aws ec2 describe-instance-type-offerings "
            "--location-type availability-zone` lists them.",
            fix=f"Write for example zones: [{options.region}a, {options.region}b].",
        )
    yield from _cidr_of_vpc_mistakes(options)


def cidr_of_others_mistakes(options: EksOptions) -> Iterator[Refused]:
    """A VPC that this stack does not make: its network must be named, so that pods let its load balancer in."""
    if "cidr" not in options.vpc.model_fields_set:
        said = "is missing: the load balancer asks the pods from the VPC's network."
        yield wrong("vpc", said, "cidr", fix="Add it, as `aws ec2 describe-vpcs` has it.")
    elif _network(options.vpc.cidr) is None:
        said = f"is {shown(options.vpc.cidr)}, but must be an IPv4 network."
        yield wrong("vpc", said, "cidr", fix="Write it as `aws ec2 describe-vpcs` has it.")


def _cidr_of_vpc_mistakes(options: EksOptions) -> Iterator[Refused]:
    network = _network(options.vpc.cidr)
    if network is None or not 16 <= network.prefixlen <= 20:
        yield wrong(
            "vpc",
            f"is {shown(options.vpc.cidr)}, but must be an IPv4 network of /16 to /20.",
            "cidr",
            fix="Pods have addresses of the VPC: /16 is right unless networks are peered.",
        )
    elif not network.is_private:
        said = f"is {shown(options.vpc.cidr)}, which is a public network."
        yield wrong("vpc", said, "cidr", fix="Take one of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16.")


def _network(text: str) -> IPv4Network | None:
    try:
        found = ip_network(text)
    except ValueError:
        return None
    return found if isinstance(found, IPv4Network) else None


def cidr_mistakes(key: str, index: int, cidr: str) -> Iterator[Refused]:
    if _network(cidr) is None:
        said = f"is {shown(cidr)}, but must be an IPv4 network, such as 203.0.113.0/24."
        yield wrong(key, said, index, fix="One address is written with /32; the host's bits are zero.")


def arn_mistakes(key: str, arn: str, service: str, kind: str, region: str) -> Iterator[Refused]:
    match = re.fullmatch(rf"arn:aws:{service}:([a-z0-9-]+):\d{{12}}:{kind}[A-Za-z0-9/-]+", arn)
    if match is None:
        yield wrong(
            key,
            f"is {shown(arn)}, but must be the ARN of a {service} {kind.rstrip('/')}.",
            fix=f"It looks like arn:aws:{service}:{region}:123456789012:{kind}...",
        )
    elif match[1] != region and is_region(region):
        yield wrong(
            key,
            f"is in {match[1]}, but the region is {region}.",
            why="It must be in the region of what uses it.",
            fix=f"Make one in {region}, and name that.",
        )


def ingress_mistakes(options: EksOptions) -> Iterator[Refused]:
    if options.scheme == "none":
        for name in ("hostname", "certificate_arn", "hosted_zone_id", "inbound_cidrs", "waf_acl_arn"):
            if getattr(options, name):
                said = "is set, but scheme is none: nothing outside the cluster reaches the endpoint."
                yield wrong(to_camel(name), said, fix="Remove it.")
        return
    if options.hostname is None:
        fix = "Add it, for example llm.example.org, or set scheme: none."
        yield wrong("hostname", "is missing: a certificate is for a name.", fix=fix)
    elif not re.fullmatch(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", options.hostname):
        yield wrong("hostname", f"is {shown(options.hostname)}, but must be a host's name.", fix="In small letters.")
    if options.certificate_arn is None:
        fix = "Make one with ACM for the hostname, in the same region."
        yield wrong("certificateArn", "is missing: the load balancer speaks TLS only.", fix=fix)
    else:
        yield from arn_mistakes("certificateArn", options.certificate_arn, "acm", "certificate/", options.region)
    if options.waf_acl_arn is not None:
        yield from arn_mistakes("wafAclArn", options.waf_acl_arn, "wafv2", "regional/webacl/", options.region)
    yield from _inbound_mistakes(options)


def _inbound_mistakes(options: EksOptions) -> Iterator[Refused]:
    for index, cidr in enumerate(options.inbound_cidrs):
        yield from cidr_mistakes("inboundCidrs", index, cidr)
    own = options.cluster_stack is None and options.vpc.vpc_id is None
    if not options.inbound_cidrs and (options.scheme == "internet-facing" or not own):
        yield wrong(
            "inboundCidrs",
            "is missing.",
            why="Without it AWS's load balancer is open to everyone.",
            fix=f"Name the networks that may ask; [{EVERYWHERE}] is everyone.",
        )
