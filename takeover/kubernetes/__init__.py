"""vLLM (or SGLang) on Kubernetes as manifests. Pure: values in, plain dicts out; nothing here speaks to a cluster."""

from __future__ import annotations

from takeover.kubernetes.build import manifests, start_limit_s, url
from takeover.kubernetes.flags import flags_for
from takeover.kubernetes.serving import Platform, Serving, serving_for

__all__ = ["Platform", "Serving", "flags_for", "manifests", "serving_for", "start_limit_s", "url"]
