"""Secrets by reference: what External Secrets makes. No manifest of ours ever holds a value."""

from __future__ import annotations

from typing import Any

from takeover.kubernetes import names
from takeover.kubernetes._object import Manifest, manifest, without_empty
from takeover.kubernetes.serving import Serving

__all__ = ["external_secrets"]


def external_secrets(serving: Serving) -> list[Manifest]:
    """The API key, and the Hub's token where the store has one."""
    key = serving.options.external_secret
    if key is None:
        return []
    made = [_external(serving, names.key_secret(serving.name), names.API_KEY, key.api_key, key.api_key_property)]
    if key.hub_token is not None:
        hub = names.hub_secret(serving.name)
        made.append(_external(serving, hub, names.HUB_ENTRY, key.hub_token, key.hub_token_property))
    return made


def _external(serving: Serving, name: str, entry: str, remote: str, part: str | None) -> Manifest:
    key = serving.options.external_secret
    assert key is not None
    reference: dict[str, Any] = without_empty({"key": remote, "property": part})
    spec = {
        "refreshInterval": f"{key.refresh_seconds}s",
        "secretStoreRef": {"kind": key.store_kind, "name": key.store},
        "target": {"name": name, "creationPolicy": "Owner", "deletionPolicy": "Retain"},
        "data": [{"secretKey": entry, "remoteRef": reference}],
    }
    return manifest(serving, "external-secrets.io/v1", "ExternalSecret", name, spec=spec)
