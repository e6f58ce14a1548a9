"""EKS in a stack: a cluster, the machines of one endpoint on it, and vLLM on them. docs/eks.md is for people.

`cluster` makes what several stacks may share, `vllm` what one endpoint needs; a stack has both, or uses another stack's
cluster. Nothing here is imported before a stack asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.eks.cluster import EksCluster
    from components.eks.vllm import EksVllm

__all__ = ["EksCluster", "EksVllm"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    modules = {"EksCluster": "components.eks.cluster", "EksVllm": "components.eks.vllm"}
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(modules[name]), name)
