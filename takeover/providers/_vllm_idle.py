"""How long nobody has asked for an adapter, by the server's own metrics. Pure.

vLLM writes the time at which it last saw a set of adapters running and waiting into one series for each such set, and
keeps them all (`vllm:lora_requests_info`, v1/metrics/loggers.py, read in 0.32 on 2026-11-24). So the newest time of the
series that name an adapter is when it was last busy. An answer of a single token leaves no trace there (tried), so an
application that asks only such questions looks idle.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["NEVER", "idle_seconds", "server_time"]

_SERIES = "vllm:lora_requests_info"
_LABELS = ("running_lora_adapters", "waiting_lora_adapters")
# Several engine processes add their times up: nonsense, and far in the future.
_AHEAD_S = 120.0
NEVER = float("inf")


def idle_seconds(page: str, name: str, now: float) -> float | None:
    """Seconds since the adapter was last busy, `NEVER` where it never was; None where the server cannot tell."""
    try:
        families = list(text_string_to_metric_families(page))
    except ValueError:
        return None
    samples = [sample for family in families for sample in family.samples if sample.name == _SERIES]
    if not samples or any(sample.value > now + _AHEAD_S for sample in samples):
        return None
    busy = [sample.value for sample in samples if _names(sample.labels, name)]
    return max(0.0, now - max(busy)) if busy else NEVER


def _names(labels: dict[str, str], name: str) -> bool:
    return any(name in labels.get(label, "").split(",") for label in _LABELS)


def server_time(date: str, otherwise: float) -> float:
    """The server's clock, from its Date header."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return otherwise
