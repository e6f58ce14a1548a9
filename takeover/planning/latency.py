"""What `targetLatencyMs` can mean on a GPU: the first token, or an answer of so many tokens. Pure, an estimate.

Reading a prompt is bound by arithmetic, writing a token by memory: every weight is read once for each. No queue and no
network are in it, and no adapter, which cost an older vLLM up to a third more (vllm-project/vllm#11267, 2024-12-17).
"""

from __future__ import annotations

from dataclasses import dataclass

from takeover.planning._memory import tokens_bytes, weight_bytes
from takeover.planning.hardware import Gpu
from takeover.planning.shape import BaseShape

__all__ = ["Latency", "latency_of", "latency_sentences"]

# Shares of what the data sheet promises. Of bandwidth, published runs of Qwen models reach 0.66 (H100, 16 streams)
# to 0.9 (one stream); tests/planning/test_latency.py has them.
_OF_BANDWIDTH = 0.75
_OF_ARITHMETIC = 0.5
_EACH_STEP_MS = 1.0  # the scheduler and the sampler
_EACH_REQUEST_MS = 15.0  # HTTP, chat template, tokenizer, the first step's start
_EXCHANGE_MS = 0.02  # one all-reduce of a small batch; two for each layer where several GPUs share it


@dataclass(frozen=True)
class Latency:
    """Milliseconds with nobody else asking: until the first token, and for each further one."""

    first_token_ms: float
    token_ms: float

    def answer_ms(self, tokens: int) -> float:
        """A whole answer of so many tokens."""
        return self.first_token_ms + (tokens - 1) * self.token_ms

    def tokens_within(self, target_ms: float) -> int:
        """How many tokens an answer may have to be whole by then; 0 when not even the first is there."""
        return max(int((target_ms - self.first_token_ms) / self.token_ms) + 1, 0) if target_ms > 0 else 0


def latency_of(shape: BaseShape, gpu: Gpu, gpus: int, prompt_tokens: int) -> Latency:
    """For prompts of that many tokens, which no cache holds already, on `gpus` cards that share the base."""
    passes = 2 * shape.active_parameters * prompt_tokens
    attention = 2 * shape.layers * shape.heads * shape.head_size * prompt_tokens**2
    exchange = 2 * shape.layers * _EXCHANGE_MS if gpus > 1 else 0.0
    arithmetic_ms = (passes + attention) / (_tflops(shape, gpu) * 1e9 * gpus * _OF_ARITHMETIC)
    read = weight_bytes(shape, gpus) * shape.active_parameters / shape.parameters
    read += tokens_bytes(shape, prompt_tokens, prompt_tokens, gpus)
    token_ms = read / (gpu.bandwidth_gb_s * 1e6 * _OF_BANDWIDTH) + _EACH_STEP_MS + exchange
    return Latency(_EACH_REQUEST_MS + max(arithmetic_ms + exchange, token_ms), token_ms)


def _tflops(shape: BaseShape, gpu: Gpu) -> float:
    """8-bit arithmetic only where base and card both have it; fewer bits are unpacked and reckoned in 16."""
    found = shape.quantization
    return gpu.tflops_fp8 if found is not None and found.bits == 8 and gpu.tflops_fp8 else gpu.tflops


def latency_sentences(
    shape: BaseShape,
    gpu: Gpu,
    gpus: int,
    *,
    target_ms: int,
    prompt_tokens: int,
    answer_tokens: int | None = None,
) -> tuple[str, ...]:
    """What the target can mean here, and whether it holds: for the first token, or for `answer_tokens` where given."""
    found = latency_of(shape, gpu, gpus, prompt_tokens)
    card = f"{gpus} x {gpu.name}" if gpus > 1 else gpu.name
    first = f"a prompt of {prompt_tokens} tokens has its first token after about {found.first_token_ms:.0f} ms"
    said = f"On {card} {first} and one more every {found.token_ms:.0f} ms, with nobody else asking."
    needed = found.first_token_ms if answer_tokens is None else found.answer_ms(answer_tokens)
    what = "the first token" if answer_tokens is None else f"a whole answer of {answer_tokens} tokens"
    if needed > target_ms:
        verdict = f"targetLatencyMs: {target_ms} cannot hold for {what}, which takes about {needed:.0f} ms."
        return said, verdict, *_instead(found, target_ms)
    within = found.tokens_within(target_ms)
    return said, f"targetLatencyMs: {target_ms} can hold for {what}; a whole answer has {within} tokens by then."


def _instead(found: Latency, target_ms: int) -> tuple[str, ...]:
    within = found.tokens_within(target_ms)
    if within:
        return (
            f"In that time an answer has {within} tokens: bound its length, or let the target mean the first token.",
        )
    return ("A faster GPU, more of them, a shorter prompt or a smaller base would be needed.",)
