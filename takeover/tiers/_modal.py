"""The record of the tier `modal`."""

from __future__ import annotations

from types import MappingProxyType

from takeover.tiers._record import ColdStartRange, Feature, Kind, No, Tier, Yes

MODAL = Tier(
    name="modal",
    kind=Kind.SERVERLESS_GPU,
    summary="vLLM on a GPU of Modal's, billed by the second, none while nobody asks",
    provider="takeover.providers.modal:ModalProvider",
    component="components.modal:ModalHosting",
    environment_variables=("MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET"),
    environments=("development", "staging"),
    cold_start=ColdStartRange(
        low_ms=5_000,
        high_ms=15_000,
        source="the evaluation's cost comparison, not measured here; it takes a GPU memory snapshot, and users report "
        "70 s for a base of 27B parameters",
        date="2026-11-24",
    ),
    autoscaling_signal="requests at work and waiting, against maxConcurrentInputs",
    largest_rank=512,
    supports=MappingProxyType(
        {
            Feature.MANY_ADAPTERS: Yes("all loaded from the start; adding one is a redeploy"),
            Feature.RUNTIME_SWAP: No(
                "loading at run time reaches one container of several",
                "a redeploy: the version before answers until the new one does",
            ),
            Feature.SCALE_TO_ZERO: Yes("after scaledownWindowSeconds without a request"),
            Feature.REPLICAS: Yes("containers, as many as the load asks for"),
            Feature.STREAMING: Yes(),
            Feature.LOGPROBS: Yes(),
            Feature.REGIONS: Yes("for 1.5 to 1.75 times the price"),
            Feature.WARM: Yes("with minReplicas above 0, billed all the time"),
            Feature.UNLIMITED_RATE: Yes("up to the workspace's own limit"),
            Feature.METRICS: Yes("of the last hour; tokens only while one container runs"),
        }
    ),
)
