"""The resource's outputs: its inputs, and what became of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plugin.difference import Change, only_models_change
from plugin.inputs import INPUTS
from plugin.wire import UNKNOWN, Secret, plain
from takeover.providers._base import Described, Endpoint
from takeover.tiers import Feature, tier

__all__ = ["deployed", "described", "imported", "planned", "split_id"]

# What only the other side can tell.
_ITS_OWN = ("url", "protocol", "apiKey", "regions", "replicasReady", "coldStartMeasuredMs", "healthy")


def deployed(inputs: Mapping[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    """After a deploy: it answers, and serves just what was asked for."""
    return _outputs(inputs, endpoint, healthy=True, digests=_wanted(inputs, "digest"))


def described(inputs: Mapping[str, Any], found: Endpoint, really: Described | None) -> dict[str, Any]:
    """What is there now, for refresh and for what a failed deploy left; the program's order, strangers last."""
    wanted = _wanted(inputs, "digest")
    digests = really.digests if really else ()
    ordered = [digest for digest in wanted if digest in digests] + sorted(set(digests) - set(wanted))
    base = plain(inputs)["spec"]["base"]
    is_healthy = really is not None and really.healthy and really.base in (None, base)
    return _outputs(inputs, found, healthy=is_healthy, digests=ordered)


def _outputs(inputs: Mapping[str, Any], endpoint: Endpoint, *, healthy: bool, digests: Sequence[str]) -> dict[str, Any]:
    key = endpoint.api_key.get_secret_value() if endpoint.api_key else None
    served = _wanted(inputs, "servedName")
    return {
        **{name: inputs[name] for name in INPUTS},
        "url": endpoint.url,
        "protocol": endpoint.protocol,
        "model": served[0],
        "served": served,
        "digests": list(digests),
        "apiKey": Secret(key),
        "regions": list(endpoint.regions),
        "replicasReady": endpoint.replicas_ready if healthy else 0,
        "coldStartMeasuredMs": endpoint.cold_start_measured_ms,
        "healthy": healthy,
    }


def _wanted(inputs: Mapping[str, Any], field: str) -> list[str]:
    return [model[field] for model in plain(inputs)["models"]]


def planned(inputs: Mapping[str, Any], old: Mapping[str, Any] | None, changes: Sequence[Change]) -> dict[str, Any]:
    """What a preview knows of the outputs; the rest is unknown.

    Where the tier exchanges adapters without a restart and nothing else changes, the address and the key stay.
    """
    kept = old if old is not None and only_models_change(changes) and _swaps(inputs) else {}
    result = {name: inputs[name] for name in INPUTS if name in inputs}
    result |= {name: kept.get(name, UNKNOWN) for name in _ITS_OWN}
    return result | _planned_models(plain(inputs.get("models")))


def _swaps(inputs: Mapping[str, Any]) -> bool:
    name = plain(inputs.get("provider"))
    return isinstance(name, str) and tier(name).answers(Feature.RUNTIME_SWAP)


def _planned_models(models: Any) -> dict[str, Any]:
    known = models if isinstance(models, list) and all(isinstance(model, Mapping) for model in models) else []
    if not known:
        return {"model": UNKNOWN, "served": UNKNOWN, "digests": UNKNOWN}
    served = [model.get("servedName", UNKNOWN) for model in known]
    return {"model": served[0], "served": served, "digests": [model.get("digest", UNKNOWN) for model in known]}


def imported(found: Endpoint, really: Described | None) -> dict[str, Any]:
    """The inputs of an endpoint that no state knows (`pulumi import`): as much as the other side tells of itself."""
    base = (really.base if really else None) or ""
    served = really.models if really else found.models
    digests = really.digests if really else ()
    models = [
        {
            "name": name.partition("@")[0],
            "digest": digests[index] if index < len(digests) else "",
            "servedName": name,
            "path": "",
            "base": base,
            "rank": 0,
        }
        for index, name in enumerate(served)
    ]
    return {"provider": found.provider, "models": models, "spec": {"name": found.name, "base": base}}


def split_id(identity: str) -> tuple[str, str]:
    """`<provider>/<name>`, as `Desired.id` writes it."""
    provider, _, name = identity.partition("/")
    return provider, name
