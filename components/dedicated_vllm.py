"""Servers of one's own in a stack: one endpoint of the native provider, on servers that nobody here starts or stops."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pulumi

from components.endpoint import Endpoint
from components.hosting import Hosting, HostingArgs
from takeover.providers.dedicated_vllm import require_servers

__all__ = ["DedicatedVllm", "sentences"]


class DedicatedVllm(Hosting):
    """`takeover:hosting:DedicatedVllm`, for `cluster: existing`. Refused in the preview where no server is named."""

    def __init__(self, name: str, args: HostingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        require_servers(args.spec, os.environ)
        super().__init__("takeover:hosting:DedicatedVllm", name, {}, opts)
        for sentence in sentences(args):
            pulumi.log.info(sentence)
        endpoint = Endpoint(
            "endpoint",
            provider=args.tier.name,
            models=args.models,
            spec=args.spec,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        self._answered_by(endpoint)


def sentences(args: HostingArgs) -> Iterator[str]:
    """In words: how the servers get the files, and what becomes of the version before. Pure."""
    options = args.spec.options
    names = ", ".join(model.served_name for model in args.models)
    if options.get("adapterFiles") == "server-pulls":
        yield f"{names}: each server pulls the files itself, from {options.get('pullFrom')}; unverified there"
    else:
        folder = options.get("sharedPath") or "the project's home (the server must be on this machine)"
        yield f"{names}: the files are copied to {folder}, verified there, and read by the servers"
    yield (
        f"{names}: loaded beside what is served and asked a question on every replica before the outputs change; no "
        f"request fails meanwhile. A version before it stays loaded, and is drift once it was unwanted and not asked "
        f"for during {options.get('drainSeconds')} s: the next `up` after a `refresh` unloads it"
    )
