"""Held-out figures are those that TRL's own evaluation gives."""

from __future__ import annotations

from pathlib import Path

import pytest
import warm_runs

LOSSES = [["sigmoid"], ["hinge"], ["ipo"], ["sigmoid_norm"], ["apo_zero"], ["sigmoid", "sft"]]


@pytest.mark.parametrize("loss_type", LOSSES, ids="+".join)
def test_figures_after_training_are_those_of_trl(loss_type: list[str], tmp_path: Path) -> None:
    settings = {**warm_runs.SETTINGS, "loss_type": loss_type, "loss_weights": [1.5, 0.5][: len(loss_type)]}
    settings["data"] = {"eval_fraction": 0}
    ended = warm_runs.in_process(warm_runs.evaluate_beside_trl, warm_runs.write_inputs(tmp_path, settings=settings))
    ours, theirs = ended.result["ours"], ended.result["theirs"]
    assert (ours["lossAfter"], ours["rewardMarginAfter"], ours["rewardAccuracyAfter"]) == (
        pytest.approx(theirs["eval_loss"], rel=1e-4),
        pytest.approx(theirs["eval_rewards/margins"], rel=1e-4),
        theirs["eval_rewards/accuracies"],
    )
    assert ours["rewardMarginAfter"] > 0
