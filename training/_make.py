"""Making the adapter once every check has passed: steps, evaluation, report, artifact. torch comes in only here."""

from __future__ import annotations

import os
import platform
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from takeover.adapter import Adapter, ManifestFacts, open_adapter, write_adapter
from takeover.bases import BaseRef
from takeover.bases.materialise import LocalBase
from takeover.errors import Refused, TakeoverError
from training._interrupts import interrupts_noted
from training._machine import Device, choose_threads
from training._work import Work
from training.checkpoints import Checkpoint, remove_broken
from training.config import TrainingConfig
from training.datasets.formats import Example, Text
from training.datasets.load import Loaded
from training.figures import PairScore, evaluation_figures
from training.fingerprint import library_versions
from training.progress import Listener
from training.report import Answer, read_metrics, write_report

__all__ = ["Run", "Stopped", "make"]


class Stopped(TakeoverError):
    """Interrupted by the user, with a checkpoint written: `train(..., resume=True)` goes on."""

    exit_code = 130


@dataclass(frozen=True)
class Run:
    """What stands fast once every check has passed."""

    config: TrainingConfig
    identity: Mapping[str, Any]
    ref: BaseRef
    base: LocalBase
    tokenizer: Any
    data: Loaded
    device: Device
    work: Work
    listener: Listener

    @property
    def steps(self) -> int:
        return self.config.steps(len(self.data.train))

    @property
    def evaluated(self) -> tuple[Example, ...]:
        return self.data.held_out[: self.config.report.max_eval_rows]

    @property
    def asked(self) -> list[Text]:
        """Different held-out prompts, to be answered side by side."""
        return list(dict.fromkeys(row.prompt for row in self.data.held_out))[: self.config.report.answers]


def make(run: Run) -> Adapter:
    """Steps, evaluation, report, artifact; each part that a crash leaves whole is used again."""
    from training import trainer as trl

    checkpoint = _settle(run)
    threads = run.work.read("run.json")["threads"]
    trl.prepare_process(run.config, threads=threads, device=run.device)
    run.listener.say(f"loading {run.ref} on the {'GPU' if run.device == 'cuda' else 'CPU'} ({threads} threads)")
    model = trl.load_base(run.base.path, run.config, device=run.device)
    trl.require_target_modules(model, run.config.lora.target_modules)
    before_scores, before_answers = _base_side(run, model)
    if checkpoint is None or checkpoint.step < run.steps:
        model = _fit(run, model, checkpoint)
    else:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, checkpoint.path)
    run.listener.say(f"evaluating the adapter on {len(run.evaluated)} held-out rows, answering {len(run.asked)}")
    after_scores, after_answers = _look_at(run, model)
    figures = evaluation_figures(before_scores, after_scores, run.config)
    answers = [Answer(*row) for row in zip(run.asked, before_answers, after_answers, strict=True)]
    return _publish(run, figures, answers, threads)


def _settle(run: Run) -> Checkpoint | None:
    """Put the work folder in order: go on from what is whole, or begin with nothing."""
    for step in remove_broken(run.work.checkpoints):
        run.listener.say(f"the checkpoint of step {step} was cut off while being written, and is not used")
    checkpoint = run.work.newest()
    if checkpoint is None:
        run.work.clear()
        threads = choose_threads(run.config)
        run.work.write("run.json", {"identity": run.identity, "threads": threads, "device": run.device})
    else:
        run.listener.say(f"going on from step {checkpoint.step} of {run.steps}")
    return checkpoint


def _base_side(run: Run, model: Any) -> tuple[list[PairScore], list[str]]:
    """The base's figures and answers, computed before the first step and kept for a run that goes on."""
    kept = run.work.read("base.json")
    if kept is None:
        run.listener.say(f"evaluating the base on {len(run.evaluated)} held-out rows, answering {len(run.asked)}")
        scores, answers = _look_at(run, model)
        kept = {"scores": [asdict(score) for score in scores], "answers": answers}
        run.work.write("base.json", kept)
    return [PairScore(**score) for score in kept["scores"]], kept["answers"]


def _look_at(run: Run, model: Any) -> tuple[list[PairScore], list[str]]:
    from training.evaluate import greedy_answers, score_pairs

    scores = score_pairs(model, run.evaluated, run.tokenizer)
    return scores, greedy_answers(model, run.asked, run.tokenizer, max_new_tokens=run.config.report.max_new_tokens)


def _fit(run: Run, model: Any, checkpoint: Checkpoint | None) -> Any:
    """The training loop; returns the model with its adapter. Raises Stopped after an interrupt."""
    from training.trainer import Recorder, build_trainer

    # They are kept in the work folder: a run that has a checkpoint has them.
    if run.config.method == "dpo" and run.config.precompute_ref_log_probs and checkpoint is None:
        run.listener.say(f"computing reference log-probabilities of {len(run.data.train)} rows")
    interrupted = threading.Event()
    trainer = build_trainer(
        run.config,
        model,
        run.tokenizer,
        run.data.train,
        work=run.work.path,
        steps=run.steps,
        recorder=Recorder(run.work.metrics, run.listener, interrupted.is_set),
    )
    with interrupts_noted(interrupted):
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint.path))
    step = trainer.state.global_step
    if step < run.steps:
        raise Stopped(f"stopped after step {step} of {run.steps}; its checkpoint is in {run.work.path}")
    return trainer.model


def _publish(run: Run, figures: Mapping[str, float], answers: Sequence[Answer], threads: int) -> Adapter:
    """Report and artifact; the work folder goes once the artifact is there."""
    final = run.work.newest()
    if final is None or final.step < run.steps:
        raise Refused(f"the last checkpoint in {run.work.path} is gone", fix="Run the same command with --resume.")
    report, built = run.work.path / "report", run.work.path / "adapter"
    for left in (report, built):
        shutil.rmtree(left, ignore_errors=True)
    write_report(
        report,
        name=str(run.config.name),
        metrics=read_metrics(run.work.metrics),
        figures=figures,
        answers=answers,
        data=run.data.report,
    )
    # Built in the work folder, so that a process killed meanwhile leaves nothing beside `--out`.
    write_adapter(
        weights=final.path / "adapter_model.safetensors",
        config=final.path / "adapter_config.json",
        out=built,
        facts=_facts(run, figures, threads),
        report=report,
    )
    if os.path.lexists(run.work.out):
        raise Refused(f"{run.work.out} has come into being meanwhile", fix="Move it away and run again with --resume.")
    built.rename(run.work.out)
    run.work.remove()
    return open_adapter(run.work.out)


def _facts(run: Run, figures: Mapping[str, float], threads: int) -> ManifestFacts:
    return ManifestFacts(
        name=str(run.config.name),
        base=str(run.ref),
        base_revision=run.base.revision,
        method=run.config.method_label,
        data_digest=run.data.digest,
        evaluation=figures,
        versions={**library_versions(), "python": platform.python_version()},
        seed=run.config.seed,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        licence=run.config.licence,
        training={
            **run.identity,
            "steps": run.steps,
            "rows": len(run.data.train),
            "machine": {"device": run.device, "threads": threads},
        },
    )
