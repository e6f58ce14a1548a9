"""A whole run on the tiny base: what it writes, that it is never done twice, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import warm_runs

from takeover.adapter import open_adapter

ROOT = Path(__file__).parents[2]


def trained(folder: Path, **more: Any) -> Path:
    """An adapter made by an undisturbed run."""
    folder.mkdir(exist_ok=True)
    arguments = warm_runs.write_inputs(folder, **more)
    ended = warm_runs.train_in_process(arguments)
    assert (ended.exit_code, ended.result.get("error")) == (0, None)
    return Path(arguments["out"])


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("run"))


def test_a_run_writes_an_artifact_with_figures_and_a_report_and_nothing_else(adapter: Path) -> None:
    manifest = open_adapter(adapter).manifest
    assert {path.relative_to(adapter).as_posix() for path in adapter.rglob("*") if path.is_file()} == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "manifest.json",
        "report/README.md",
        "report/answers.md",
        "report/answers.png",
        "report/answers.svg",
        "report/curves.png",
        "report/curves.svg",
        "report/data.json",
        "report/metrics.jsonl",
    }
    assert (manifest.name, manifest.base, manifest.method, manifest.rank, manifest.alpha, manifest.seed) == (
        "crash", "tiny", "dpo+sft", 4, 8, 5,
    )  # fmt: skip
    assert manifest.training["steps"] == 8
    figures = manifest.evaluation
    assert figures["lossAfter"] < figures["lossBefore"]
    assert figures["rewardMarginAfter"] > figures["rewardMarginBefore"] == 0.0
    assert (figures["rewardAccuracyBefore"], figures["rewardAccuracyAfter"]) == (0.5, 1.0)
    assert manifest.data_digest == json.loads((adapter / "report" / "data.json").read_text())["digest"]
    assert not adapter.with_name("adapter.work").exists()


def test_every_step_is_logged_once(adapter: Path) -> None:
    rows = [json.loads(line) for line in (adapter / "report" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 9))
    assert {"loss", "rewards/margins", "rewards/accuracies", "learning_rate", "grad_norm", "seconds"} <= set(rows[0])


def test_no_path_of_this_machine_is_published(adapter: Path) -> None:
    texts = [path.read_bytes() for path in adapter.rglob("*") if path.is_file()]
    assert not any(str(place).encode() in text for text in texts for place in (Path.home(), adapter.parent, ROOT))


def train_again(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`takeover train` in a process of its own, which reports whether it imported torch."""
    code = (
        "import atexit, sys; from takeover.cli import main; "
        "atexit.register(lambda: print('torch' in sys.modules)); main()"
    )
    folder = out.parent
    command = ["train", str(folder / "config.yaml"), "--data", str(folder / "pairs.json"), "--out", str(out), *options]
    return subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )


def test_the_same_run_again_says_so_at_once_without_torch(adapter: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in adapter.rglob("*")}
    done = train_again(adapter)
    served = open_adapter(adapter).served_name
    assert (done.returncode, done.stdout) == (0, f"{served}  {adapter}\nFalse\n")
    assert f"nothing changed: {adapter} holds {served} of this very run" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in adapter.rglob("*")} == before


def test_another_run_into_the_same_folder_is_refused_with_what_changed(adapter: Path) -> None:
    done = train_again(adapter, "--max-steps", "9")
    assert (done.returncode, done.stdout) == (2, "False\n")
    assert done.stderr == (
        f"error: {adapter} exists already and is of another run\n"
        "  Changed since: config.max_steps was 8 and is 9.\n"
        "  Choose another --out; what was trained once is never overwritten.\n"
    )


def test_a_folder_that_is_no_whole_adapter_is_refused_and_left_alone(adapter: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "adapter"
    shutil.copytree(adapter, damaged)
    for name in ("config.yaml", "pairs.json"):
        shutil.copy(adapter.parent / name, tmp_path)
    weights = damaged / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    done = train_again(damaged, "--resume")
    assert (done.returncode, done.stdout) == (2, "False\n")
    assert done.stderr.startswith(f"error: {damaged} exists already and is no whole adapter\n")
    assert "adapter_model.safetensors" in done.stderr
    assert done.stderr.endswith("  Choose another --out, or move it away: nothing is ever overwritten.\n")


def test_another_folder_always_trains_and_to_the_same_digest(adapter: Path, tmp_path: Path) -> None:
    again = trained(tmp_path)
    assert open_adapter(again).digest == open_adapter(adapter).digest


def test_what_a_killed_run_left_beside_a_finished_adapter_goes_with_the_next(adapter: Path) -> None:
    work = adapter.with_name("adapter.work")
    (work / "checkpoints").mkdir(parents=True)
    assert train_again(adapter).returncode == 0
    assert not work.exists()


@dataclass(frozen=True)
class Method:
    id: str
    config: dict[str, Any]
    method: str
    figures: set[str]


PAIRS = {"rewardMarginBefore", "rewardMarginAfter", "rewardAccuracyBefore", "rewardAccuracyAfter"}
PAIRS |= {"preferenceAccuracyBefore", "preferenceAccuracyAfter"}
LOSSES = {"rows", "lossBefore", "lossAfter"}
METHODS = [
    Method("sft", {"method": "sft"}, "sft", LOSSES | PAIRS),
    Method(
        "dpo with the reference computed in each step, in bfloat16",
        {"precompute_ref_log_probs": False, "dtype": "bfloat16"},
        "dpo",
        LOSSES | PAIRS,
    ),
    Method("no rows held out", {"gradient_checkpointing": True, "data": {"eval_fraction": 0}}, "dpo", set()),
]


@pytest.mark.parametrize("case", METHODS, ids=lambda case: case.id)
def test_each_method_learns(case: Method, tmp_path: Path) -> None:
    settings = {**warm_runs.SETTINGS, **case.config}
    settings.pop("loss_type")
    manifest = open_adapter(trained(tmp_path, settings=settings)).manifest
    losses = [json.loads(line)["loss"] for line in (tmp_path / "adapter/report/metrics.jsonl").read_text().splitlines()]
    assert (manifest.method, set(manifest.evaluation)) == (case.method, case.figures)
    assert losses[-1] < losses[0]


@dataclass(frozen=True)
class Refusal:
    id: str
    message: str
    config: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)


REFUSED = [
    Refusal(
        "a base without a revision",
        "Refused: the base 'hub:acme/model' is not pinned: it has no revision",
        arguments={"base": "hub:acme/model"},
    ),
    Refusal("a base that is no folder", "Refused: the base '/none' is of no known form", arguments={"base": "/none"}),
    Refusal("data that are not there", "Refused: there is no data file none.jsonl", arguments={"data": "none.jsonl"}),
    Refusal("a config with mistakes", "Refusals: {folder}/config.yaml: 2 mistakes", {"seed": -1, "beta": 0}),
    Refusal(
        "a module that the base lacks",
        "Refused: lora.target_modules: the base has no module called c_attn\n"
        "  Choose among down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj.",
        {"lora": {"target_modules": ["c_attn"]}},
    ),
    Refusal("a GPU that is not there", "Refused: device: there is no GPU that torch can use", {"device": "cuda"}),
    Refusal(
        "4-bit without a GPU",
        "Refused: quantization: is 4bit, and there is no GPU here\n  On a CPU LoRA's gradients silently become zero",
        {"device": "auto", "quantization": "4bit"},
    ),
    Refusal(
        "rows that are too long for the base's tokenizer",
        "Refusals: the data: 5 mistakes\n1. pairs.json, row 5: is too long: 17 tokens, at most 16 (max_length)",
        {"max_length": 16},
    ),
    Refusal(
        "a base that does not fit into memory",
        "Refused: no memory for the base: 0.0 GB are needed before the first step, 0.0 GB are free on this machine",
        arguments={"prepare": warm_runs.with_little_memory},
    ),
    Refusal(
        "a full disk",
        "Refused: no space left on the disk of {folder}/adapter.work\n"
        "  A checkpoint or the adapter could not be written; the last whole checkpoint is kept.",
        arguments={"prepare": warm_runs.with_full_disk},
    ),
    Refusal(
        "a learning rate at which nothing is learned",
        "Refused: training diverged: the loss is ",
        {"learning_rate": 1e30, "save_steps": 100},
    ),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.id)
def test_bad_input_is_one_message_and_leaves_nothing_half_made(case: Refusal, tmp_path: Path) -> None:
    arguments = warm_runs.write_inputs(tmp_path, settings={**warm_runs.SETTINGS, **case.config})
    ended = warm_runs.train_in_process({**arguments, **case.arguments})
    assert (ended.exit_code, ended.result["code"]) == (0, 2)
    assert ended.result["error"].startswith(case.message.format(folder=tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter.result", "config.yaml", "pairs.json"]


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    """A folder with a run that was interrupted after step 3."""
    arguments = warm_runs.write_inputs(tmp_path)
    assert warm_runs.train_in_process({**arguments, "interrupt_at": 2}).result["error"].startswith("Stopped:")
    return tmp_path


def test_an_unfinished_run_is_neither_overwritten_nor_gone_on_with_unasked(unfinished: Path) -> None:
    work = unfinished / "adapter.work"
    arguments = {"config": str(unfinished / "config.yaml"), "out": str(unfinished / "adapter")}
    arguments["data"] = str(unfinished / "pairs.json")
    unasked = warm_runs.train_in_process(arguments)
    other = warm_runs.train_in_process({**arguments, "resume": True, "max_steps": 5})
    assert unasked.result["error"] == (
        f"Refused: {work} holds an unfinished run of just this (step 3)\n"
        f"  Add --resume to go on, or begin again after `rm -r {work}`."
    )
    assert other.result["error"] == (
        f"Refused: {work} holds an unfinished run of something else (step 3)\n"
        "  Changed since: config.max_steps was 8 and is 5.\n"
        f"  Undo the change and add --resume, or begin again after `rm -r {work}`."
    )


def test_two_processes_do_not_train_into_one_folder(unfinished: Path) -> None:
    from filelock import FileLock

    with FileLock(unfinished / "adapter.work" / "lock"):
        arguments = {"config": str(unfinished / "config.yaml"), "out": str(unfinished / "adapter"), "resume": True}
        ended = warm_runs.train_in_process({**arguments, "data": str(unfinished / "pairs.json")})
    assert ended.result["error"].startswith(f"Refused: another process is training into {unfinished / 'adapter'}")


def test_ctrl_c_writes_a_checkpoint_and_prints_the_command_that_goes_on(tmp_path: Path) -> None:
    """The real command: interrupted by a signal from outside once it has begun to train."""
    warm_runs.write_inputs(tmp_path, settings={**warm_runs.SETTINGS, "max_steps": 100_000})
    data, out = str(tmp_path / "pairs.json"), str(tmp_path / "adapter")
    command = ["train", str(tmp_path / "config.yaml"), "--data", data, "--out", out]
    process = subprocess.Popen(
        [sys.executable, "-c", "from takeover.cli import main; main()", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        metrics = Path(out + ".work") / "metrics.jsonl"
        warm_runs.wait_for(lambda: metrics.exists() or process.poll() is not None)
        process.send_signal(2)
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, stdout) == (130, "")
    said = stderr.splitlines()
    assert said[-3].startswith("stopped after step ")
    assert said[-2:] == ["Go on with:", f"  takeover {' '.join(command)} --resume"]
    assert any(Path(out + ".work", "checkpoints").iterdir())
    shutil.rmtree(out + ".work")
