"""What a killed `up` had begun to create and no state knows: found and removed through its provider."""

from __future__ import annotations

import asyncio

from takeover.engine.state import Pending
from takeover.providers import provider_for
from takeover.providers._base import InferenceProvider

__all__ = ["remove"]

# A killed engine's plugin notices within a second that it is an orphan, and may make something until then.
_ORPHAN_S = 2.0
_ENDPOINT = "takeover:index:Endpoint"


def remove(pending: Pending) -> bool:
    """Remove the endpoint if it exists; True when there was one. Other types are left to the tools of their vendor."""
    spec = pending.inputs.get("spec")
    if pending.type != _ENDPOINT or not isinstance(spec, dict):
        return False
    return asyncio.run(_remove(provider_for(str(pending.inputs["provider"]), spec.get("cluster")), str(spec["name"])))


async def _remove(provider: InferenceProvider, name: str) -> bool:
    endpoint = await provider.find(name)
    if endpoint is None:
        await asyncio.sleep(_ORPHAN_S)
        endpoint = await provider.find(name)
    if endpoint is None:
        return False
    await provider.destroy(endpoint)
    return True
