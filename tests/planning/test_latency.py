"""What 200 ms can mean on a GPU."""

from __future__ import annotations

from dataclasses import replace

import pytest

from takeover.bases._known_shapes import known_config
from takeover.planning.fit import GPUS, BaseShape, Gpu, Quantization, shape_of
from takeover.planning.latency import Latency, latency_of, latency_sentences

LLAMA = shape_of(known_config("meta-llama/Llama-3.1-8B") or {}, name="Llama-3.1-8B")
QWEN3 = shape_of(known_config("Qwen/Qwen3-8B") or {}, name="Qwen3-8B")
AWQ = replace(shape_of(known_config("Qwen/Qwen2.5-7B") or {}), quantization=Quantization("awq", 4, 128))
RTX_4080 = Gpu("RTX-4080", 15.99, 716, 97, (8, 9))


@pytest.mark.parametrize(
    ("shape", "gpu", "gpus", "measured_ms"),
    [
        # 2156.2 tokens a second over 16 streams with prompts of 128 (GitHub tgarg01/silybench-data, 2026-09-24).
        pytest.param(QWEN3, GPUS["H100-SXM"], 1, 16 / 2156.2 * 1000, id="Qwen3-8B on an H100"),
        # GitHub akiyax/kvcache-lab, docs/phase1-baseline.md, 2026-08-02.
        pytest.param(AWQ, RTX_4080, 1, 9.40, id="Qwen2.5-7B in 4 bits on an RTX 4080"),
        # About 145 tokens a second (GitHub kthxo/distserving, logs/2026-07-24_*_NUTELLA_*).
        pytest.param(QWEN3, GPUS["RTX-PRO-6000"], 2, 1000 / 145, id="Qwen3-8B on two RTX PRO 6000"),
    ],
)
def test_a_token_takes_what_somebody_measured_or_up_to_two_fifths_more(
    shape: BaseShape, gpu: Gpu, gpus: int, measured_ms: float
) -> None:
    assert measured_ms <= latency_of(shape, gpu, gpus, 128).token_ms <= 1.4 * measured_ms


def test_tokens_within_a_time_take_that_time() -> None:
    found = Latency(first_token_ms=100, token_ms=10)
    assert (found.answer_ms(11), found.tokens_within(200), found.tokens_within(209.9)) == (200, 11, 11)
    assert (found.tokens_within(100), found.tokens_within(95), found.tokens_within(50)) == (1, 1, 0)


def test_several_gpus_are_faster_by_less_than_their_number() -> None:
    one, four = (latency_of(LLAMA, GPUS["L40S"], gpus, 4096) for gpus in (1, 4))
    assert one.first_token_ms / 4 < four.first_token_ms < one.first_token_ms
    assert one.token_ms / 4 < four.token_ms < one.token_ms


@pytest.mark.parametrize(
    ("gpu", "tokens", "said"),
    [
        pytest.param(
            "H100-SXM",
            None,
            (
                "On H100-SXM a prompt of 1024 tokens has its first token after about 49 ms and one more every 7 ms,"
                " with nobody else asking.",
                "targetLatencyMs: 200 can hold for the first token; a whole answer has 21 tokens by then.",
            ),
            id="the first token on a fast card",
        ),
        pytest.param(
            "L40S",
            100,
            (
                "On L40S a prompt of 1024 tokens has its first token after about 107 ms and one more every 26 ms, with"
                " nobody else asking.",
                "targetLatencyMs: 200 cannot hold for a whole answer of 100 tokens, which takes about 2681 ms.",
                "In that time an answer has 4 tokens: bound its length, or let the target mean the first token.",
            ),
            id="a whole answer",
        ),
        pytest.param(
            "L4",
            None,
            (
                "On L4 a prompt of 1024 tokens has its first token after about 291 ms and one more every 73 ms, with"
                " nobody else asking.",
                "targetLatencyMs: 200 cannot hold for the first token, which takes about 291 ms.",
                "A faster GPU, more of them, a shorter prompt or a smaller base would be needed.",
            ),
            id="not even the first token",
        ),
    ],
)
def test_the_target_is_judged_in_words(gpu: str, tokens: int | None, said: tuple[str, ...]) -> None:
    found = latency_sentences(LLAMA, GPUS[gpu], 1, target_ms=200, prompt_tokens=1024, answer_tokens=tokens)
    assert found == said
