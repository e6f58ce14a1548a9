"""Move production traffic from a closed model API to a LoRA adapter of one's own.

Applications need `takeover.Client`; everything is loaded on first use, so that `import takeover` stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from takeover.adapter import Adapter, open_adapter
    from takeover.client import Client, Reply
    from takeover.errors import TakeoverError
    from takeover.outputs import EndpointOutputs

__all__ = ["Adapter", "Client", "EndpointOutputs", "Reply", "TakeoverError", "open_adapter"]

_HOMES = {
    "Adapter": "takeover.adapter",
    "Client": "takeover.client",
    "EndpointOutputs": "takeover.outputs",
    "Reply": "takeover.client",
    "TakeoverError": "takeover.errors",
    "open_adapter": "takeover.adapter",
}


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module 'takeover' has no attribute {name!r}") from None
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value
