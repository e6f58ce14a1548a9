"""Rules between the keys of a training config: what pydantic's fields cannot say one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from takeover.errors import Refused

if TYPE_CHECKING:
    from training.config import TrainingConfig

__all__ = ["cross_mistakes", "four_bit_needs_gpu"]

Rule = Callable[["TrainingConfig", frozenset[str]], Iterator[Refused]]


def cross_mistakes(config: TrainingConfig, written: frozenset[str]) -> list[Refused]:
    """Every combination that cannot be. `written` are the keys that the user wrote (`lora.r`), defaults not."""
    return [mistake for rule in _RULES for mistake in rule(config, written)]


def four_bit_needs_gpu(because: str) -> Refused:
    """Why 4-bit training is refused without a GPU (seen with bitsandbytes on a CPU, 2026-11-24)."""
    return Refused(
        f"is 4bit, {because}",
        why="On a CPU LoRA's gradients silently become zero after the first evaluation, and nothing is learned.",
        fix="Use quantization: none with dtype: float32 or bfloat16, or train on a GPU.",
        where="quantization",
    )


def _length_of_run(config: TrainingConfig, written: frozenset[str]) -> Iterator[Refused]:
    if {"max_steps", "epochs"} <= written:
        yield Refused("stands beside epochs", why="Both say how long to train.", fix="Keep one.", where="max_steps")


def _only_for_dpo(config: TrainingConfig, written: frozenset[str]) -> Iterator[Refused]:
    if config.method != "sft":
        return
    for key in ("loss_type", "loss_weights", "precompute_ref_log_probs"):
        if key in written:
            yield Refused("has no meaning with method: sft", fix="Remove it, or use method: dpo.", where=key)


def _losses(config: TrainingConfig, written: frozenset[str]) -> Iterator[Refused]:
    if config.method != "dpo":
        return
    if len(set(config.loss_type)) < len(config.loss_type):
        yield Refused("names a loss twice", fix="Use loss_weights to weigh one more.", where="loss_type")
    if set(config.loss_type) == {"sft"}:
        yield Refused("is sft alone, which is no preference loss", fix="Write method: sft.", where="loss_type")
    weights = config.loss_weights
    if weights is not None and len(weights) != len(config.loss_type):
        yield Refused(
            f"has {len(weights)} weights for {len(config.loss_type)} losses",
            fix="Give one weight for each entry of loss_type.",
            where="loss_weights",
        )


def _adapter(config: TrainingConfig, written: frozenset[str]) -> Iterator[Refused]:
    modules = config.lora.target_modules
    if len(set(modules)) < len(modules):
        yield Refused("names a module twice", fix="Name each once.", where="lora.target_modules")
    if config.method == "dpo" and "lm_head" in modules:
        yield Refused(
            "names lm_head, which DPO would never train",
            why="TRL multiplies by the head's own weight, past any adapter.",
            fix="Leave lm_head out.",
            where="lora.target_modules",
        )
    if config.method == "dpo" and config.lora.dropout > 0:
        yield Refused(
            f"is {config.lora.dropout}, but has no effect with method: dpo",
            why="TRL switches dropout off in DPO, so that policy and reference are comparable.",
            fix="Use 0.",
            where="lora.dropout",
        )


def _hardware(config: TrainingConfig, written: frozenset[str]) -> Iterator[Refused]:
    if config.quantization == "4bit" and config.device == "cpu":
        yield four_bit_needs_gpu("and device is cpu")


def _data(config: TrainingConfig, written: frozenset[str]) -> Iterator[Refused]:
    if config.data.eval is not None and "data.eval_fraction" in written:
        yield Refused(
            "stands beside eval",
            why="Both say which rows are held out.",
            fix="Keep one.",
            where="data.eval_fraction",
        )
    hub = any(place is not None and place.startswith("hub:") for place in (config.data.train, config.data.eval))
    for key in ("split", "eval_split", "subset"):
        if not hub and f"data.{key}" in written and (config.data.train or config.data.eval):
            yield Refused("is for data from the Hub alone", fix="Remove it.", where=f"data.{key}")


_RULES: tuple[Rule, ...] = (_length_of_run, _only_for_dpo, _losses, _adapter, _hardware, _data)
