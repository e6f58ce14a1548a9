"""vLLM (or SGLang) on Kubernetes as manifests. Pure: values in, plain dicts out; nothing here speaks to a cluster."""

from __future__ import annotations

from takeover.kubernetes.serving import Platform, Serving, serving_for

__all__ = ["Platform", "Serving", "serving_for"]
