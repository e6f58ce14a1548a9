"""Held-out figures from log-probabilities. Pure; the losses are TRL's (dpo_trainer.py of 1.16, compared in a test)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from training.config import TrainingConfig

__all__ = ["PairScore", "evaluation_figures"]


@dataclass(frozen=True)
class PairScore:
    """What a model thinks of one row: summed log-probabilities (nats) and the number of tokens of each answer."""

    chosen: float
    chosen_tokens: int
    rejected: float | None = None
    rejected_tokens: int | None = None


@dataclass(frozen=True)
class _Row:
    """One row under the trained model (`policy`) against the base (`reference`)."""

    policy: PairScore
    reference: PairScore
    beta: float

    @property
    def chosen_ratio(self) -> float:
        return self.policy.chosen - self.reference.chosen

    @property
    def rejected_ratio(self) -> float:
        return (self.policy.rejected or 0.0) - (self.reference.rejected or 0.0)

    @property
    def margin(self) -> float:
        """Reward of the chosen answer less that of the rejected one; DPO's implicit reward is beta times log-ratio."""
        return self.beta * (self.chosen_ratio - self.rejected_ratio)


def evaluation_figures(
    base: Sequence[PairScore], trained: Sequence[PairScore], config: TrainingConfig
) -> dict[str, float]:
    """Figures before and after training on the held-out rows; empty when there are none.

    `loss*` is the training loss (all terms, weighed); `rewardMargin*` and `rewardAccuracy*` are of DPO's implicit
    reward, so before training they are 0 and, as a tie counts half, 0.5. `preferenceAccuracy*` is the share of rows
    whose chosen answer the model finds likelier a token than the rejected one: that says something of the base, too.
    """
    if not base:
        return {}
    before = [_Row(score, score, config.beta) for score in base]
    after = [_Row(score, reference, config.beta) for score, reference in zip(trained, base, strict=True)]
    figures = {"rows": float(len(base))}
    for when, rows in (("Before", before), ("After", after)):
        figures[f"loss{when}"] = _loss(rows, config)
        pairs = [row for row in rows if row.policy.rejected is not None]
        if pairs:
            figures[f"rewardMargin{when}"] = _mean([row.margin for row in pairs])
            figures[f"rewardAccuracy{when}"] = _mean([_won(row.margin) for row in pairs])
            figures[f"preferenceAccuracy{when}"] = _mean([_won(_per_token_lead(row.policy)) for row in pairs])
    return figures


def _loss(rows: Sequence[_Row], config: TrainingConfig) -> float:
    if config.method == "sft":
        return _sft(rows)
    weights = config.loss_weights or (1.0,) * len(config.loss_type)
    terms = {
        name: _sft(rows) if name == "sft" else _mean([_LOSSES[name](row) for row in rows]) for name in config.loss_type
    }
    return sum(weight * terms[name] for name, weight in zip(config.loss_type, weights, strict=True))


def _sft(rows: Sequence[_Row]) -> float:
    """Mean over all tokens of the chosen answers, as the supervised term has it."""
    return -sum(row.policy.chosen for row in rows) / sum(row.policy.chosen_tokens for row in rows)


def _softplus(value: float) -> float:
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


def _sigmoid(value: float) -> float:
    return math.exp(-_softplus(-value))


def _ipo(row: _Row) -> float:
    lead = row.chosen_ratio / row.policy.chosen_tokens - row.rejected_ratio / (row.policy.rejected_tokens or 1)
    return (lead - 1 / (2 * row.beta)) ** 2


def _sigmoid_norm(row: _Row) -> float:
    lead = row.chosen_ratio / row.policy.chosen_tokens - row.rejected_ratio / (row.policy.rejected_tokens or 1)
    return _softplus(-row.beta * lead)


_LOSSES: Mapping[str, Callable[[_Row], float]] = {
    "sigmoid": lambda row: _softplus(-row.margin),
    "hinge": lambda row: max(0.0, 1 - row.margin),
    "ipo": _ipo,
    "sigmoid_norm": _sigmoid_norm,
    "apo_zero": lambda row: 1 - _sigmoid(row.beta * row.chosen_ratio) + _sigmoid(row.beta * row.rejected_ratio),
}


def _per_token_lead(score: PairScore) -> float:
    return score.chosen / score.chosen_tokens - (score.rejected or 0.0) / (score.rejected_tokens or 1)


def _won(lead: float) -> float:
    return 0.5 if lead == 0 else float(lead > 0)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
