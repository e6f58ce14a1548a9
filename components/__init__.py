"""Pulumi components, one file per hosting tier. Which one a tier has stands in `takeover.tiers`, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, cast

from takeover.tiers import Tier

if TYPE_CHECKING:
    from components.hosting import Hosting, HostingArgs

__all__ = ["component_for"]


def component_for(tier: Tier) -> Callable[[str, HostingArgs], Hosting]:
    """The component of `tier`; its module, and the cloud's SDK that it needs, are imported here and not before."""
    module, _, attribute = tier.component.partition(":")
    return cast("Callable[[str, HostingArgs], Hosting]", getattr(import_module(module), attribute))
