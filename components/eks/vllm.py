"""vLLM pods on EKS: a cluster of the stack's own or a shared one, GPU nodes, and the pods as on any cluster."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_aws import route53

from components.eks.place import Place, make_place, place_sentences
from components.eks.pods import platform, pool_name
from components.hosting import Hosting, HostingArgs
from components.kubernetes import Declared, api_key_for, declare
from takeover.errors import Refused
from takeover.kubernetes import Serving, flags_for, names, serving_for, url
from takeover.kubernetes.words import sentences
from takeover.settings._eks import EksOptions
from takeover.settings._eks_charts import needed_charts
from takeover.settings._kubernetes import parse_options

__all__ = ["EksVllm", "eks_options", "serving_on_eks"]


class EksVllm(Hosting):
    """`takeover:hosting:EksVllm`. Refused before anything is made: no key, a base or an adapter that pods cannot fetch.

    Unmaking goes the other way round: pods and Ingress, then machines, then the cluster.
    """

    def __init__(self, name: str, args: HostingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        options = with_charts(eks_options(args), args)
        key = api_key_for(parse_options(args.spec.options), os.environ)
        serving = serving_on_eks(args, options, key_mark=key.mark)
        super().__init__("takeover:hosting:EksVllm", name, {}, opts)
        for sentence in (*place_sentences(args.spec, options), *sentences(serving, cluster=pool_name(args.spec))):
            pulumi.log.info(sentence)
        place = make_place(
            args.spec,
            args.models,
            options,
            namespace=serving.namespace,
            service_account=names.workload(serving.name),
            protect=args.protect,
            parent=self,
        )
        declared = declare(
            serving, key, provider=place.kubernetes, parent=self, protect=args.protect, after=place.ready
        )
        _dns_record(options, place, declared, self)
        self._declared(
            args,
            url=declared.workload.id.apply(lambda _: url(serving)),
            protocol="openai",
            api_key=declared.key,
            regions=(options.region,),
            replicas_ready=declared.replicas_ready,
            # So that `takeover scale` and the like change no other cluster that kubectl happens to point to.
            found_out={"expectedCluster": place.facts.endpoint},
        )


def eks_options(args: HostingArgs) -> EksOptions:
    """`takeover:eks` of the stack."""
    found = args.settings.eks if args.settings is not None else None
    if found is None:
        raise Refused("takeover:eks is missing", fix="Add it: docs/eks.md explains its keys.", where="takeover:eks")
    return found


def with_charts(options: EksOptions, args: HostingArgs) -> EksOptions:
    """The same, with the charts that the pods need where the stack leaves it open. Pure."""
    if options.install is not None:
        return options
    spec = args.spec
    needed = needed_charts(parse_options(spec.options), least=spec.min_replicas, most=spec.max_replicas)
    return options.model_copy(update={"install": needed})


def serving_on_eks(args: HostingArgs, options: EksOptions, *, key_mark: str = "") -> Serving:
    """The endpoint as values, from which every manifest is made. Pure."""
    pods = parse_options(args.spec.options)
    target = args.settings.hosting.target_latency_ms if args.settings is not None else None
    return serving_for(
        args.models,
        args.spec,
        flags_for(args.models, args.spec),
        platform=platform(args.spec, args.models, options, drain_seconds=pods.drain_seconds),
        target_latency_ms=target,
        key_mark=key_mark,
    )


def _dns_record(options: EksOptions, place: Place, declared: Declared, parent: pulumi.Resource) -> None:
    """The host's name for the load balancer, where the stack names the zone; else whoever keeps the zone writes it."""
    entrance = declared.others.get("ingress")
    if options.hosted_zone_id is None or entrance is None:
        return
    status: pulumi.Output[Any] = pulumi.get(entrance, "status")
    address = status.apply(_hostname)
    route53.Record(
        "hostname",
        zone_id=options.hosted_zone_id,
        name=options.hostname or "",
        type="CNAME",
        ttl=60,
        records=[address],
        opts=pulumi.ResourceOptions(parent=parent, provider=place.aws),
    )


def _hostname(status: Mapping[str, Any]) -> str:
    """The load balancer's own name, of an Ingress's status as the SDK's class or as the API has it."""
    balancer = status.get("load_balancer") or status["loadBalancer"]
    return str(balancer["ingress"][0]["hostname"])
