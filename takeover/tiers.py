"""The registry: what each tier can and cannot do. Literal data; everything else reads it, nothing repeats it.

The settings' choices, the CLI's, the preview's errors, the documentation's matrix and the conformance suite's rows are
computed from `TIERS`. A record names its modules as text, so that no cloud SDK is imported but the chosen tier's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from takeover.errors import Refused

__all__ = ["TIERS", "ColdStartRange", "Feature", "Kind", "No", "Tier", "Yes", "tier"]


class Kind(StrEnum):
    LOCAL = "local"
    SERVERLESS_GPU = "serverless GPU"
    DEDICATED_GPU = "dedicated GPU"
    MANAGED = "managed"


class Feature(StrEnum):
    """What a stack may ask of a tier. Every tier answers each of these, with Yes or with No and the way round."""

    MANY_ADAPTERS = "several adapters on one base"
    RUNTIME_SWAP = "change of adapter without a restart"
    SCALE_TO_ZERO = "scale to zero"
    REPLICAS = "more than one replica"
    STREAMING = "streaming"
    LOGPROBS = "token log-probabilities"
    REGIONS = "choice of region"
    WARM = "always warm"
    UNLIMITED_RATE = "no rate limit of the vendor's"
    METRICS = "metrics"


@dataclass(frozen=True)
class Yes:
    note: str = ""


@dataclass(frozen=True)
class No:
    reason: str
    instead: str


@dataclass(frozen=True)
class ColdStartRange:
    """From nothing to the first answer, in milliseconds, with the source of the figures and its date."""

    low_ms: int
    high_ms: int
    source: str
    date: str


@dataclass(frozen=True)
class Tier:
    """One hosting tier. `provider` and `component` are `module:attribute`, loaded only when the tier is chosen."""

    name: str
    kind: Kind
    summary: str
    provider: str
    component: str
    environment_variables: tuple[str, ...]
    environments: tuple[str, ...]
    cold_start: ColdStartRange
    autoscaling_signal: str
    largest_rank: int
    supports: Mapping[Feature, Yes | No]
    # Where there is a choice: `takeover:hosting.cluster`, and `engine` among the tier's own options.
    clusters: Mapping[str, Yes | No] = field(default_factory=lambda: MappingProxyType({}))
    engines: Mapping[str, Yes | No] = field(default_factory=lambda: MappingProxyType({}))

    def answers(self, feature: Feature) -> bool:
        return isinstance(self.supports[feature], Yes)


_LOCAL = Tier(
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

_NOT_BUILT = "existing, with the address of servers that run there in VLLM_CLUSTER_URL"
_DEDICATED_VLLM = Tier(
    name="dedicated-vllm",
    kind=Kind.DEDICATED_GPU,
    summary="vLLM servers of your own, which take the adapter at run time",
    provider="takeover.providers.dedicated_vllm:VLLMProvider",
    component="components.dedicated_vllm:DedicatedVllm",
    environment_variables=("VLLM_CLUSTER_URL", "VLLM_API_KEY", "VLLM_ADMIN_API_KEY"),
    environments=("development", "staging", "production"),
    cold_start=ColdStartRange(
        low_ms=100,
        high_ms=5_000,
        source="load and first question on a running vLLM 0.32 for CPUs (tests/dedicated_vllm/test_real_vllm.py)",
        date="2026-11-24",
    ),
    autoscaling_signal="none: the servers are scaled by whoever runs them",
    largest_rank=512,
    supports=MappingProxyType(
        {
            Feature.MANY_ADAPTERS: Yes("as many in one batch as the server's --max-loras"),
            Feature.RUNTIME_SWAP: Yes("the new version is loaded beside the old one, on every replica"),
            Feature.SCALE_TO_ZERO: No("takeover neither starts nor stops servers that somebody else runs", "modal"),
            Feature.REPLICAS: Yes("those that run; takeover:dedicated-vllm says how they are reached"),
            Feature.STREAMING: Yes(),
            Feature.LOGPROBS: Yes(),
            Feature.REGIONS: No("the servers are where they are", "a tier in a cloud"),
            Feature.WARM: Yes("while its servers run"),
            Feature.UNLIMITED_RATE: Yes("only that of your own gateway"),
            Feature.METRICS: Yes("Prometheus, summed over the replicas"),
        }
    ),
    clusters=MappingProxyType(
        {
            "existing": Yes("servers that run already"),
            **{
                name: No(f"a cluster of the kind {name} is not built yet", _NOT_BUILT)
                for name in ("eks", "kubernetes", "runpod", "lambda", "vast")
            },
        }
    ),
    engines=MappingProxyType(
        {
            "vllm": Yes(),
            "sglang": Yes("callers ask for lora:NAME; another name is answered by the plain base"),
            # github.com/huggingface/text-generation-inference: maintenance since 2025-12-11, archived 2026-03-21.
            "tgi": No("TGI was archived on 2026-03-21 and loads no adapter at run time", "vllm, or sglang"),
        }
    ),
)

_MODAL = Tier(
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

TIERS: Mapping[str, Tier] = MappingProxyType({record.name: record for record in (_LOCAL, _MODAL, _DEDICATED_VLLM)})


def tier(name: str) -> Tier:
    """The record of `name`; Refused, with the names there are, when it is none."""
    try:
        return TIERS[name]
    except KeyError:
        raise Refused(
            f"there is no tier {name!r}", why=f"Built so far: {', '.join(TIERS)}.", fix="Choose one of these."
        ) from None
