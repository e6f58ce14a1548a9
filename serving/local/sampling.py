"""The choice of the next token, row by row, each parameter as vLLM means it (vllm/sampling_params.py, 2026-11)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from serving.local.asks import Sampling

__all__ = ["choose", "generator_for"]

# vLLM raises a temperature that is not greedy to at least this.
_LEAST_TEMPERATURE = 1e-2
# The most likely tokens that nearly always hold the nucleus: sorting these alone takes a tenth of sorting 49 152.
_FIRST_LOOK = 1024


def generator_for(sampling: Sampling) -> torch.Generator:
    """The row's own source of randomness: what others in the batch draw does not reach it."""
    generator = torch.Generator()
    if sampling.seed is None:
        generator.seed()
    else:
        generator.manual_seed(sampling.seed)
    return generator


def choose(
    logits: Tensor,
    sampling: Sampling,
    generator: torch.Generator,
    *,
    prompt: Sequence[int] = (),
    generated: Sequence[int] = (),
    banned: Sequence[int] = (),
) -> int:
    """The next token from logits [vocabulary] (float32, left as they are). `banned` tokens cannot come."""
    if sampling.penalises:
        logits = _penalised(logits, sampling, prompt, generated)
    if banned:
        logits = logits.index_fill(0, torch.tensor(list(banned)), -torch.inf)
    if sampling.greedy:
        return int(logits.argmax())
    chances, tokens = _candidates(logits, sampling)
    return int(tokens[torch.multinomial(chances, 1, generator=generator)])


def _penalised(logits: Tensor, sampling: Sampling, prompt: Sequence[int], generated: Sequence[int]) -> Tensor:
    """Repetition looks at prompt and answer, presence and frequency at the answer alone."""
    logits = logits.clone()
    seen = torch.tensor(sorted({*prompt, *generated}), dtype=torch.long)
    held = logits[seen]
    logits[seen] = torch.where(held > 0, held / sampling.repetition_penalty, held * sampling.repetition_penalty)
    counts = torch.bincount(torch.tensor(list(generated), dtype=torch.long), minlength=logits.shape[0])
    return logits - sampling.frequency_penalty * counts - sampling.presence_penalty * (counts > 0)


def _candidates(logits: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Chances (not normalised) and token ids among which one is drawn: temperature, then min_p, top_k, top_p."""
    chances = torch.softmax(logits / max(sampling.temperature, _LEAST_TEMPERATURE), dim=-1)
    tokens = torch.arange(len(chances))
    if sampling.min_p > 0:
        chances = chances * (chances >= sampling.min_p * chances.max())
    if sampling.top_k > 0:
        chances, tokens = chances.topk(min(sampling.top_k, len(chances)))
    if sampling.top_p < 1:
        nucleus, order = _nucleus(chances / chances.sum(), sampling.top_p)
        chances, tokens = nucleus, tokens[order]
    return chances, tokens


def _nucleus(chances: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """The fewest most likely entries whose sum reaches `top_p`, and their indices."""
    ordered, order = chances.topk(min(_FIRST_LOOK, len(chances)))
    if ordered.sum() < top_p:
        ordered, order = chances.sort(descending=True)
    size = int((ordered.cumsum(0) < top_p).sum()) + 1
    return ordered[:size], order[:size]
