"""The record of the tier `local`."""

from __future__ import annotations

from types import MappingProxyType

from takeover.tiers._record import ColdStartRange, Feature, Kind, No, Tier, Yes

LOCAL = Tier(
    name="local",
    kind=Kind.LOCAL,
    summary="a process on this machine; costs nothing, serves one laptop",
    provider="takeover.providers.local:LocalProvider",
    component="components.local:LocalHosting",
    environment_variables=(),
    environments=("development",),
    cold_start=ColdStartRange(
        low_ms=8_000,
        high_ms=60_000,
        source="benchmarks/: process start to the first answer, SmolLM2-135M on two cores",
        date="2026-11-24",
    ),
    autoscaling_signal="none",
    largest_rank=512,
    supports=MappingProxyType(
        {
            Feature.MANY_ADAPTERS: Yes("mixed in one batch"),
            Feature.RUNTIME_SWAP: Yes("the new version is loaded beside the old one"),
            Feature.SCALE_TO_ZERO: No("a local process runs until it is taken down", "`takeover destroy`"),
            Feature.REPLICAS: No("one process serves one machine", "a dedicated or serverless tier"),
            Feature.STREAMING: Yes(),
            Feature.LOGPROBS: No("the local server does not compute them", "a vLLM tier"),
            Feature.REGIONS: No("it runs on this machine", "a tier in a cloud"),
            Feature.WARM: Yes("while the machine is on"),
            Feature.UNLIMITED_RATE: Yes("a bounded queue answers 429 when it is full"),
            Feature.METRICS: Yes("Prometheus, under vLLM's names"),
        }
    ),
)
