"""What the fit says: terms, flags, tensor parallelism, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from takeover.bases._known_shapes import known_config
from takeover.errors import Refused
from takeover.planning.fit import (
    GPUS,
    BaseShape,
    Engine,
    Load,
    Quantization,
    fit,
    lora_rank_for,
    require_fit,
    shape_of,
    what_would_fit,
)

GIB = 1 << 30


def known(name: str) -> BaseShape:
    config = known_config(name)
    assert config is not None
    return shape_of(config, name=name)


LLAMA, QWEN = known("meta-llama/Llama-3.1-8B"), known("Qwen/Qwen2.5-7B")


def test_the_terms_add_up_and_each_says_why() -> None:
    found = fit(LLAMA, Load(8192, 4, adapters=2, rank=64), GPUS["L40S"])
    names = ["weights", "LoRA slots", "activations", "CUDA graphs", "CUDA and libraries", "KV cache"]
    assert [term.name for term in found.terms] == names
    assert sum(term.bytes for term in found.terms) == found.total_bytes
    assert all(term.why.endswith(".") and term.bytes > 0 for term in found.terms)
    assert found.available_bytes == int(44.39 * GIB * 0.92)


def test_a_token_of_the_cache_is_keys_and_values_of_each_layer() -> None:
    cache = fit(LLAMA, Load(8192, 4), GPUS["L40S"]).terms[-1]
    assert cache.bytes == 4 * 8192 * 32 * 2 * 8 * 128 * 2


def test_a_last_block_counts_whole() -> None:
    assert (
        fit(LLAMA, Load(17, 1), GPUS["L40S"]).terms[-1].bytes == fit(LLAMA, Load(32, 1), GPUS["L40S"]).terms[-1].bytes
    )


def test_layers_that_slide_hold_their_window() -> None:
    # 26 layers, of which 22 slide over 512 tokens, pooled in groups of 4: one group of full ones and six of others,
    # which hold the window and a step of 2048 tokens in blocks of 16, one more for where the window begins.
    gemma = known("google/gemma-3-1b")
    page = 4 * 2 * 16 * 256 * 2
    held = (512 - 1 + 2048 + 15) // 16 + 1
    assert (gemma.sliding_layers, gemma.window) == (22, 512)
    assert fit(gemma, Load(16384, 1, adapters=0), GPUS["L4"]).terms[-1].bytes == (16384 // 16 + 6 * held) * page


def test_the_largest_concurrency_fits_and_one_more_does_not() -> None:
    most = fit(LLAMA, Load(8192, 1), GPUS["L40S"], engine=Engine(max_num_seqs=256)).largest_concurrency
    at_most, beyond = (
        fit(LLAMA, Load(8192, count), GPUS["L40S"], engine=Engine(max_num_seqs=256)).fits for count in (most, most + 1)
    )
    assert (at_most, beyond) == (True, False)


def test_the_flags_are_what_was_reckoned_with() -> None:
    flags = fit(LLAMA, Load(8192, 8, adapters=3, rank=40), GPUS["L40S"]).flags
    assert flags.arguments() == (
        *("--enable-lora", "--max-loras", "3", "--max-cpu-loras", "3", "--max-lora-rank", "64"),
        *("--max-model-len", "8192", "--max-num-seqs", "32", "--max-num-batched-tokens", "2048"),
        *("--gpu-memory-utilization", "0.92", "--tensor-parallel-size", "1"),
    )


def test_without_an_adapter_lora_stays_off() -> None:
    found = fit(LLAMA, Load(8192, 1, adapters=0), GPUS["L40S"])
    assert "--enable-lora" not in found.flags.arguments()
    assert "LoRA slots" not in [term.name for term in found.terms]


def test_a_card_without_bfloat16_is_told_to_halve() -> None:
    small = known("Qwen/Qwen2.5-1.5B")
    assert fit(small, Load(4096, 1), GPUS["T4"]).flags.arguments()[-2:] == ("--dtype", "half")


def test_more_adapters_than_a_batch_takes_wait_in_memory() -> None:
    found = fit(QWEN, Load(4096, 1, adapters=20, rank=8), GPUS["L40S"])
    assert (found.flags.max_loras, found.flags.max_cpu_loras) == (8, 20)
    assert found.sentences[-1] == "8 of 20 adapters run in one batch; the others wait in memory."


@dataclass(frozen=True)
class Shared:
    says: str
    shape: BaseShape
    gpus: int
    parallel: int


SHARED = (
    Shared("eight heads of keys divide by four", LLAMA, 4, 4),
    Shared("four heads of keys stand twice on eight GPUs, but 28 heads do not divide by eight", QWEN, 8, 4),
    Shared("seven GPUs of 28 heads and 4 of keys: four", QWEN, 7, 4),
    Shared("three GPUs: two of them", LLAMA, 3, 2),
    Shared("groups of 128 weights stay whole", replace(QWEN, quantization=Quantization("awq", 4, 128)), 8, 4),
    Shared("more GPUs than heads of keys", known("Qwen/Qwen3-30B-A3B"), 8, 8),
)


@pytest.mark.parametrize("case", SHARED, ids=lambda case: case.says)
def test_heads_are_dealt_out_whole(case: Shared) -> None:
    found = fit(case.shape, Load(4096, 1), GPUS["A100-80GB"], case.gpus)
    assert found.tensor_parallel == found.flags.tensor_parallel_size == case.parallel
    idle = [f"{case.gpus - case.parallel} of the {case.gpus} GPUs stay idle: its heads divide no further."]
    assert [words for words in found.sentences if "idle" in words] == idle * (case.parallel < case.gpus)


def test_each_of_two_gpus_holds_half_of_the_weights_and_of_the_cache() -> None:
    one, two = (fit(LLAMA, Load(8192, 2), GPUS["L40S"], gpus).terms for gpus in (1, 2))
    assert (two[0].bytes, two[-1].bytes) == (pytest.approx(one[0].bytes / 2, rel=0.001), one[-1].bytes // 2)


@pytest.mark.parametrize(
    ("rank", "flag"), [(1, 1), (2, 8), (8, 8), (9, 16), (40, 64), (129, 256), (300, 320), (321, 512), (512, 512)]
)
def test_a_rank_is_rounded_up_to_one_that_vllm_has(rank: int, flag: int) -> None:
    assert lora_rank_for(rank) == flag


@pytest.mark.parametrize(
    ("shape", "load", "said"),
    [
        pytest.param(LLAMA, Load(rank=513), "the adapter's rank 513 is more than vLLM takes", id="a rank too large"),
        pytest.param(LLAMA, Load(rank=0), "an adapter has no rank 0", id="no rank"),
        pytest.param(
            LLAMA,
            Load(context_length=200_000),
            "meta-llama/Llama-3.1-8B reads 131072 tokens at most, and 200000 are asked for",
            id="a context that the base cannot read",
        ),
        pytest.param(
            LLAMA,
            Load(concurrency=0),
            "context length, concurrency and GPUs are 1 or more, adapters 0 or more",
            id="no",
        ),
        pytest.param(
            replace(LLAMA, vocab=262_144),
            Load(),
            "vLLM takes no LoRA on meta-llama/Llama-3.1-8B: its vocabulary of 262144 is over 258048",
            id="a vocabulary too large for LoRA",
        ),
    ],
)
def test_what_cannot_be_is_refused(shape: BaseShape, load: Load, said: str) -> None:
    with pytest.raises(Refused) as caught:
        fit(shape, load, GPUS["L40S"])
    assert caught.value.happened == said


def test_what_does_not_fit_is_refused_with_what_would() -> None:
    with pytest.raises(Refused) as caught:
        require_fit(LLAMA, Load(8192, 4, rank=64, adapters=2), GPUS["L4"], where="takeover:kubernetes.gpu")
    assert caught.value.where == "takeover:kubernetes.gpu"
    assert caught.value.happened.startswith("meta-llama/Llama-3.1-8B with 4 x 8192 tokens lacks 0.01 GiB on 1 x L4:")
    assert caught.value.why == "At most 3 requests fit at once at 8192 tokens."
    assert caught.value.fix.startswith("What would fit: 1 x L40S (g6e.xlarge), ")


@pytest.mark.parametrize("name", ["meta-llama/Llama-3.1-8B", "google/gemma-2-9b"])
def test_the_longest_request_that_fits_is_named(name: str) -> None:
    shape, engine = replace(known(name), longest_context=0), Engine(max_num_seqs=16)
    said = fit(shape, Load(131_072, 1, adapters=0), GPUS["L4"], engine=engine).sentences[1]
    longest = int(said.rstrip(".").split()[-1])
    at_most, beyond = (
        fit(shape, Load(length, 1, adapters=0), GPUS["L4"], engine=engine).fits for length in (longest, longest + 16)
    )
    assert said.startswith("Not one request of 131072 tokens fits; the longest that does has ")
    assert (at_most, beyond) == (True, False)


def test_weights_larger_than_the_card_leave_no_room() -> None:
    found = fit(known("meta-llama/Llama-3.1-70B"), Load(8192, 1), GPUS["A100-80GB"])
    assert (found.fits, found.largest_concurrency, found.kv_cache_bytes) == (False, 0, 0)
    assert found.sentences[1].startswith("Even without a request it lacks ")


def test_what_would_fit_does_fit_and_begins_with_the_fewest_gpus() -> None:
    names = what_would_fit(known("meta-llama/Llama-3.1-70B"), Load(8192, 8), most=99)
    assert [int(name.split(" x ")[0]) for name in names] == sorted(int(name.split(" x ")[0]) for name in names)
    assert "8 x A100-40GB (p4d.24xlarge)" in names
    assert not any(name.startswith(("1 x L4 ", "1 x H100")) for name in names)


def test_nothing_fits_the_largest_wish() -> None:
    assert what_would_fit(known("meta-llama/Llama-3.1-70B"), Load(131_072, 4000)) == ()
