"""One vendor, one file; `provider_for` loads the one that the registry names."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from takeover.providers._base import InferenceProvider
from takeover.tiers import tier

__all__ = ["provider_for"]


def provider_for(name: str) -> InferenceProvider:
    """The provider of the tier `name` (a key of `takeover.tiers.TIERS`); Refused when there is none."""
    module, _, attribute = tier(name).provider.partition(":")
    return cast(InferenceProvider, getattr(import_module(module), attribute)())
