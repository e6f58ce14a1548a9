"""Pods on a cluster that exists, by kubeconfig."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes

from components.hosting import Hosting, HostingArgs
from components.kubernetes.key import ApiKey, api_key_for
from components.kubernetes.objects import declare
from takeover.errors import Refusals, Refused, collected
from takeover.kubernetes import Serving, flags_for, serving_for, url
from takeover.kubernetes.words import sentences
from takeover.providers._kube_access import Access, open_access
from takeover.providers._kube_api import Kube
from takeover.providers._kube_place import require_cluster
from takeover.settings._kubernetes import KubernetesOptions, parse_options

__all__ = ["KubernetesVllm"]


class KubernetesVllm(Hosting):
    """`takeover:hosting:KubernetesVllm`. Refused before anything is made: no kubeconfig, another cluster, no key."""

    def __init__(self, name: str, args: HostingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        options = parse_options(args.spec.options)
        key, serving, access = _checked(args, options)
        super().__init__("takeover:hosting:KubernetesVllm", name, {}, opts)
        for sentence in sentences(serving, cluster=access.called):
            pulumi.log.info(sentence)
        if options.expected_cluster is None:
            pulumi.log.warn(
                f"takeover:kubernetes.expectedCluster is not set: whatever the kubeconfig's context is, is changed. "
                f"Now it is {access.server}."
            )
        provider = _provider(options, access, self)
        declared = declare(serving, key, provider=provider, parent=self, protect=args.protect)
        self._declared(
            args,
            url=declared.workload.id.apply(lambda _: url(serving)),
            protocol="openai",
            api_key=declared.key,
            replicas_ready=declared.replicas_ready,
        )


def _checked(args: HostingArgs, options: KubernetesOptions) -> tuple[ApiKey, Serving, Access]:
    """What everything is made of; Refusals with all that is wrong with key, adapters and kubeconfig together."""
    target = args.settings.hosting.target_latency_ms if args.settings is not None else None
    mistakes: list[Refused] = []
    key = collected(mistakes, lambda: api_key_for(options, os.environ))
    mark = key.mark if key is not None else ""
    serving = collected(
        mistakes,
        lambda: serving_for(
            args.models, args.spec, flags_for(args.models, args.spec), target_latency_ms=target, key_mark=mark
        ),
    )
    access = collected(mistakes, lambda: _expected_cluster(options))
    Refusals.raise_if_any(f"the endpoint {args.spec.name}", mistakes)
    assert key is not None
    assert serving is not None
    assert access is not None
    return key, serving, access


def _expected_cluster(options: KubernetesOptions) -> Access:
    """The access to the cluster that the stack names; Refused for any other. An address is compared without a call."""
    access = open_access(options.kubeconfig, options.context)

    async def compare() -> None:
        async with Kube(access) as kube:
            await require_cluster(kube, options.expected_cluster)

    # The program runs inside of an event loop already.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, compare()).result()
    return access


def _provider(options: KubernetesOptions, access: Access, parent: pulumi.Resource) -> kubernetes.Provider:
    """Explicit, so that no default one takes whatever context is current; the cluster's identity is its address, and
    not the kubeconfig's text, which differs from machine to machine."""
    path = options.kubeconfig
    return kubernetes.Provider(
        "cluster",
        kubeconfig=str(Path(path).expanduser()) if path is not None else None,
        context=options.context,
        cluster_identifier=options.expected_cluster or access.server,
        enable_server_side_apply=True,
        opts=pulumi.ResourceOptions(parent=parent),
    )
