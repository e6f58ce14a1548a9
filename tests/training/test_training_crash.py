"""A run that is killed, interrupted or cut off goes on to the very bits of one that was not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import warm_runs
from warm_runs import Ended

_KILLS = 10
_SEED = 20261124


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The run that nothing disturbs."""
    ended = warm_runs.train_in_process(warm_runs.write_inputs(tmp_path_factory.mktemp("whole")))
    assert (ended.exit_code, ended.result["steps"]) == (0, list(range(1, 9)))
    return ended


# The share of a run's file operations after which it dies: within checkpoints, the report, the artifact, or between.
_MOMENTS = [random.Random(_SEED + number).random() for number in range(_KILLS)]


@pytest.mark.parametrize("moment", _MOMENTS, ids=lambda moment: f"killed after {moment:.0%} of its file operations")
def test_killed_and_resumed_gives_the_same_digest(whole: Ended, tmp_path: Path, moment: float) -> None:
    arguments = warm_runs.write_inputs(tmp_path)
    killed = warm_runs.train_in_process({**arguments, "die_at": int(moment * whole.result["operations"])})
    assert killed == Ended(-9, {})

    resumed = warm_runs.train_in_process({**arguments, "resume": True})

    assert (resumed.exit_code, resumed.result.get("error"), resumed.digest) == (0, None, whole.digest)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["adapter", "adapter.result", "config.yaml", "pairs.json"]


def test_killed_again_and_again_gives_the_same_digest(whole: Ended, tmp_path: Path) -> None:
    arguments = warm_runs.write_inputs(tmp_path)
    for operation in (110, 60, 40):
        killed = warm_runs.train_in_process({**arguments, "resume": True, "die_at": operation})
        assert killed == Ended(-9, {})
    assert warm_runs.train_in_process({**arguments, "resume": True}).digest == whole.digest


@pytest.mark.parametrize("step", [1, 2, 3, 6])
def test_interrupted_after_any_step_and_resumed_gives_the_same_digest(whole: Ended, tmp_path: Path, step: int) -> None:
    arguments = warm_runs.write_inputs(tmp_path)
    stopped = warm_runs.train_in_process({**arguments, "interrupt_at": step})
    work = Path(arguments["out"] + ".work")
    assert stopped.result["error"] == f"Stopped: stopped after step {step + 1} of 8; its checkpoint is in {work}"
    assert not Path(arguments["out"]).exists()

    resumed = warm_runs.train_in_process({**arguments, "resume": True})

    assert (resumed.digest, resumed.result["steps"]) == (whole.digest, list(range(step + 2, 9)))


def test_a_checkpoint_cut_off_while_written_is_noticed_and_the_one_before_is_used(whole: Ended, tmp_path: Path) -> None:
    arguments = warm_runs.write_inputs(tmp_path)
    warm_runs.train_in_process({**arguments, "interrupt_at": 6})
    optimizer = Path(arguments["out"] + ".work") / "checkpoints" / "checkpoint-7" / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:1000])

    resumed = warm_runs.train_in_process({**arguments, "resume": True})

    assert "the checkpoint of step 7 was cut off while being written, and is not used" in resumed.result["said"]
    assert "going on from step 6 of 8" in resumed.result["said"]
    assert (resumed.digest, resumed.result["steps"]) == (whole.digest, [7, 8])
