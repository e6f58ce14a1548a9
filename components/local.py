"""The local tier in a stack: one endpoint of the native provider, nothing else."""

from __future__ import annotations

import pulumi

from components.endpoint import Endpoint
from components.hosting import Hosting, HostingArgs

__all__ = ["LocalHosting"]


class LocalHosting(Hosting):
    """`takeover:hosting:Local`."""

    def __init__(self, name: str, args: HostingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("takeover:hosting:Local", name, {}, opts)
        # Two servers cannot share a port: with a fixed one, the old server goes before the new one comes.
        has_fixed_port = bool(args.spec.options.get("port"))
        endpoint = Endpoint(
            "endpoint",
            provider=args.tier.name,
            models=args.models,
            spec=args.spec,
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=has_fixed_port, protect=args.protect),
        )
        self._answered_by(endpoint)
