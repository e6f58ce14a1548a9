"""The frame of every object: apiVersion, kind, metadata, then the rest, in the order in which people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from takeover.kubernetes import names
from takeover.kubernetes.serving import Serving

__all__ = ["Manifest", "manifest", "without_empty"]

Manifest = dict[str, Any]


def manifest(
    serving: Serving,
    api: str,
    kind: str,
    name: str,
    *,
    component: str = names.ENGINE,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **rest: Any,
) -> Manifest:
    """One object in the endpoint's namespace; `rest` are its top-level keys (`spec`, `data`, ...)."""
    metadata: Manifest = {"name": name, "namespace": serving.namespace}
    metadata["labels"] = names.labels(serving.name, serving.labels, component) | dict(labels or {})
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **rest}


def without_empty(values: Mapping[str, Any]) -> Manifest:
    """Without what says nothing: None, and empty lists and mappings. `{}` that means something is not given here."""
    return {key: value for key, value in values.items() if value not in (None, [], {}, ())}
