"""The one place that drives TRL: a base, rows and a config in, sealed checkpoints out. Imports torch."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub.constants
import torch
import transformers
from peft import LoraConfig
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from takeover.errors import Refused
from training.checkpoints import seal
from training.config import TrainingConfig
from training.datasets.formats import Example, Text
from training.progress import Listener

__all__ = ["Recorder", "build_trainer", "load_base", "prepare_process", "require_target_modules"]


def prepare_process(config: TrainingConfig, *, threads: int, device: str) -> None:
    """Threads, determinism and quiet libraries, for this process. The same threads give the same bits on a CPU."""
    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    # Read by TRL when it computes reference log-probabilities; our own listener speaks instead.
    os.environ["TQDM_DISABLE"] = "1"
    # TRL's trainers report each run to the Hub otherwise.
    huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)
    if config.deterministic:
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # costs time, changes no result
        if device == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.backends.cudnn.benchmark = False


def load_base(path: Path, config: TrainingConfig, *, device: str) -> Any:
    """The base's weights, in 4 bits if the config says so (NF4, double quantization: QLoRA, arXiv 2305.14314)."""
    quantization = None
    if config.quantization == "4bit":
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=getattr(torch, config.dtype),
        )
    return AutoModelForCausalLM.from_pretrained(
        path,
        dtype=getattr(torch, config.dtype),
        quantization_config=quantization,
        device_map={"": 0} if device == "cuda" else None,
        local_files_only=True,
    )


def require_target_modules(model: Any, wanted: Sequence[str]) -> None:
    """Refused when the base lacks one of the modules that LoRA is to change; names those it has."""
    linear = {name.rpartition(".")[2] for name, module in model.named_modules() if "Linear" in type(module).__name__}
    missing = [module for module in wanted if module not in linear]
    if missing:
        raise Refused(
            f"the base has no module called {', '.join(missing)}",
            fix=f"Choose among {', '.join(sorted(linear - {'lm_head'}))}.",
            where="lora.target_modules",
        )


class Recorder(TrainerCallback):
    """Writes metrics.jsonl, seals checkpoints, tells the listener, and stops after the step that is running.

    `stop` is asked after each step: when it says so, a checkpoint is written and training ends.
    """

    def __init__(self, metrics: Path, listener: Listener, stop: Callable[[], bool]) -> None:
        self._metrics = metrics
        self._listener = listener
        self._stop = stop
        self._began = time.monotonic()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        keep_metrics_until(self._metrics, state.global_step)
        self._listener.started(state.global_step, state.max_steps)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self._stop():
            control.should_save = True
            control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if not logs or "loss" not in logs:
            return
        _require_finite(state.global_step, logs)
        row = {"step": state.global_step, **logs, "seconds": round(time.monotonic() - self._began, 3)}
        with self._metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self._listener.stepped(state.global_step, logs)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        seal(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._listener.ended()


def keep_metrics_until(path: Path, step: int) -> None:
    """Drop the lines after `step` (and a line cut off by a crash): the steps after it are made again."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
    path.write_text("".join(kept), encoding="utf-8")


def _require_finite(step: int, logs: Mapping[str, float]) -> None:
    if not math.isfinite(logs["loss"]):
        raise Refused(
            f"training diverged: the loss is {logs['loss']} at step {step}",
            why="From there on every weight is useless; nothing was published.",
            fix="Lower learning_rate, or raise warmup_ratio.",
        )


def build_trainer(
    config: TrainingConfig,
    model: Any,
    tokenizer: Any,
    rows: Sequence[Example],
    *,
    work: Path,
    steps: int,
    recorder: TrainerCallback,
) -> Trainer:
    """TRL's trainer for the method, ready to train; reference log-probabilities are computed here, if wanted."""
    build = _dpo if config.method == "dpo" else _sft
    trainer = build(config, model, tokenizer, rows, work, steps)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(recorder)
    return trainer


def _dpo(
    config: TrainingConfig, model: Any, tokenizer: Any, rows: Sequence[Example], work: Path, steps: int
) -> Trainer:
    from trl import DPOConfig, DPOTrainer

    arguments = DPOConfig(
        **_arguments(config, work, steps, model),
        loss_type=list(config.loss_type),
        loss_weights=None if config.loss_weights is None else list(config.loss_weights),
        beta=config.beta,
        precompute_ref_log_probs=config.precompute_ref_log_probs,
    )
    columns = {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"}
    return DPOTrainer(
        model=model,
        args=arguments,
        train_dataset=_dataset(rows, columns, work),
        processing_class=tokenizer,
        peft_config=_lora(config),
    )


def _sft(
    config: TrainingConfig, model: Any, tokenizer: Any, rows: Sequence[Example], work: Path, steps: int
) -> Trainer:
    from trl import SFTConfig, SFTTrainer

    return SFTTrainer(
        model=model,
        args=SFTConfig(**_arguments(config, work, steps, model), completion_only_loss=True),
        train_dataset=_dataset(rows, {"prompt": "prompt", "completion": "chosen"}, work),
        processing_class=tokenizer,
        peft_config=_lora(config),
    )


def _lora(config: TrainingConfig) -> LoraConfig:
    return LoraConfig(
        r=config.lora.r,
        lora_alpha=config.lora.alpha,
        lora_dropout=config.lora.dropout,
        target_modules=list(config.lora.target_modules),
        task_type="CAUSAL_LM",
    )


def _arguments(config: TrainingConfig, work: Path, steps: int, model: Any) -> dict[str, Any]:
    """What DPO and SFT share. `max_steps` is fixed, seeds are set and the loader has no workers: so a run that goes on
    from a checkpoint ends with the same bits (the facts of 2026-11-24)."""
    return {
        "output_dir": str(work / "checkpoints"),
        "max_steps": steps,
        "per_device_train_batch_size": config.batch_size,
        "gradient_accumulation_steps": config.gradient_accumulation_steps,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.lr_scheduler,
        "warmup_steps": int(config.warmup_ratio * steps),
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "max_length": config.max_length,
        "gradient_checkpointing": config.gradient_checkpointing,
        "bf16": config.dtype == "bfloat16",
        "use_cpu": model.device.type == "cpu",
        "seed": config.seed,
        "data_seed": config.seed,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": model.device.type != "cpu",
        "save_strategy": "steps",
        "save_steps": config.save_steps,
        "save_total_limit": config.save_total_limit,
        "logging_steps": config.logging_steps,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "report_to": "none",
    }


def _dataset(rows: Sequence[Example], columns: Mapping[str, str], work: Path) -> datasets.Dataset:
    """The rows in the work folder, so that what TRL computes of them (reference log-probabilities) is kept there too:
    a run that goes on finds it again, and it goes with the folder."""
    folder = work / "rows"
    if not folder.exists():
        listed = [{name: _plain(getattr(row, part)) for name, part in columns.items()} for row in rows]
        unfinished = work / "rows.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        datasets.Dataset.from_list(listed).save_to_disk(str(unfinished))
        unfinished.rename(folder)
    return datasets.load_from_disk(str(folder))


def _plain(part: Text) -> Any:
    return part if isinstance(part, str) else [asdict(message) for message in part]
