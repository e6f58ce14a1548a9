"""What 200 ms can mean on a GPU."""

from __future__ import annotations

import pytest

from takeover.bases._known_shapes import known_config
from takeover.planning.fit import GPUS, shape_of
from takeover.planning.latency import Latency, latency_of, latency_sentences

LLAMA = shape_of(known_config("meta-llama/Llama-3.1-8B") or {}, name="Llama-3.1-8B")
QWEN3 = shape_of(known_config("Qwen/Qwen3-8B") or {}, name="Qwen3-8B")


def test_a_token_takes_about_as_long_as_somebody_measured() -> None:
    # 2156.2 tokens a second over 16 streams with prompts of 128 (GitHub tgarg01/silybench-data, 2026-09-24).
    assert latency_of(QWEN3, GPUS["H100-SXM"], 1, 128).token_ms == pytest.approx(16 / 2156.2 * 1000, rel=0.2)


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
                "On H100-SXM a prompt of 1024 tokens has its first token after about 49 ms and one more every 8 ms,"
                " with nobody else asking.",
                "targetLatencyMs: 200 can hold for the first token; a whole answer has 19 tokens by then.",
            ),
            id="the first token on a fast card",
        ),
        pytest.param(
            "L40S",
            100,
            (
                "On L40S a prompt of 1024 tokens has its first token after about 107 ms and one more every 29 ms, with"
                " nobody else asking.",
                "targetLatencyMs: 200 cannot hold for a whole answer of 100 tokens, which takes about 3018 ms.",
                "In that time an answer has 4 tokens: bound its length, or let the target mean the first token.",
            ),
            id="a whole answer",
        ),
        pytest.param(
            "L4",
            None,
            (
                "On L4 a prompt of 1024 tokens has its first token after about 291 ms and one more every 83 ms, with"
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
