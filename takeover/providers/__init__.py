"""One vendor, one file; `provider_for` loads the one that the registry names."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from takeover.providers._base import InferenceProvider, NamesModels, TrainedModel
from takeover.tiers import tier

__all__ = ["named_models", "provider_for"]


def provider_for(name: str, cluster: str | None = None) -> InferenceProvider:
    """The provider of the tier `name` on that kind of cluster; Refused when there is none."""
    module, _, attribute = tier(name, cluster).provider.partition(":")
    return cast(InferenceProvider, getattr(import_module(module), attribute)())


def named_models(
    name: str, models: tuple[TrainedModel, ...], options: Mapping[str, Any], *, cluster: str | None = None
) -> tuple[TrainedModel, ...]:
    """The models under the names that callers of the tier `name` must ask for.

    Only a tier with a choice of engines has others; no other provider is imported for this.
    """
    if not tier(name, cluster).engines:
        return models
    provider = provider_for(name, cluster)
    return provider.named(models, options) if isinstance(provider, NamesModels) else models
