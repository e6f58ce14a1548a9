"""Asking a model: how likely it finds the held-out answers, and what it answers itself. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from training.datasets.formats import Example, Text
from training.datasets.lengths import Tokenizer, render
from training.figures import PairScore

__all__ = ["greedy_answers", "score_pairs"]


@torch.inference_mode()
def score_pairs(model: Any, examples: Sequence[Example], tokenizer: Tokenizer) -> list[PairScore]:
    """Log-probabilities of each row's answers, one sequence at a time: so a row's figure depends on no other row.

    Tokens are split into prompt and answer as TRL does: the answer begins where the prompt alone and the prompt with
    either answer differ. The model is put into evaluation mode.
    """
    model.eval()
    return [_score(model, example, tokenizer) for example in examples]


def _score(model: Any, example: Example, tokenizer: Tokenizer) -> PairScore:
    prompt = _ids(example.prompt, None, tokenizer)
    chosen = _ids(example.prompt, example.chosen, tokenizer)
    rejected = None if example.rejected is None else _ids(example.prompt, example.rejected, tokenizer)
    start = min(_common(prompt, chosen), len(prompt) if rejected is None else _common(prompt, rejected))
    if rejected is None:
        return PairScore(_answer_log_prob(model, chosen, start), len(chosen) - start)
    return PairScore(
        chosen=_answer_log_prob(model, chosen, start),
        chosen_tokens=len(chosen) - start,
        rejected=_answer_log_prob(model, rejected, start),
        rejected_tokens=len(rejected) - start,
    )


def _ids(prompt: Text, answer: Text | None, tokenizer: Tokenizer) -> list[int]:
    text = render(prompt, answer, tokenizer)
    return list(tokenizer([text], add_special_tokens=isinstance(prompt, str))["input_ids"][0])


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    pairs = zip(one, other, strict=False)
    return next((index for index, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other)))


def _answer_log_prob(model: Any, ids: list[int], start: int) -> float:
    """The sum over `ids[start:]`, in float32."""
    batch = torch.tensor([ids], device=model.device)
    logits = model(input_ids=batch, logits_to_keep=len(ids) - start + 1, use_cache=False).logits[0, :-1]
    log_probs = torch.log_softmax(logits.float(), dim=-1)
    return float(log_probs.gather(1, batch[0, start:, None]).sum())


@torch.inference_mode()
def greedy_answers(model: Any, prompts: Sequence[Text], tokenizer: Any, *, max_new_tokens: int) -> list[str]:
    """The model's most likely answer to each prompt, cut at `max_new_tokens`; all prompts go in one batch."""
    if not prompts:
        return []
    model.eval()
    texts = [render(prompt, None, tokenizer) for prompt in prompts]
    plain = isinstance(prompts[0], str)
    batch = tokenizer(texts, add_special_tokens=plain, padding=True, padding_side="left", return_tensors="pt")
    batch = {name: batch[name].to(model.device) for name in ("input_ids", "attention_mask")}
    # Sampling settings of the base's generation config have no meaning here and would only be warned about.
    written = model.generate(
        **batch,
        max_new_tokens=max_new_tokens,
        do_sample=False,
        temperature=None,
        top_p=None,
        top_k=None,
        pad_token_id=tokenizer.pad_token_id,
    )
    answers = written[:, batch["input_ids"].shape[1] :]
    return [str(text).strip() for text in tokenizer.batch_decode(answers, skip_special_tokens=True)]
