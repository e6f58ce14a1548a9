"""What a training run is told: one YAML file, read once into frozen data, strictly, with all mistakes at once.

Names are those of TRL, PEFT and transformers where they have one (`loss_type`, `max_length`, `lora.r`).
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from takeover.bases import parse_base
from takeover.errors import Refusals, Refused
from training._rules import cross_mistakes

__all__ = ["DataConfig", "LoraSettings", "ReportConfig", "TrainingConfig", "load_config", "parse_config"]

LossType = Literal["sigmoid", "hinge", "ipo", "sigmoid_norm", "apo_zero", "sft"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class LoraSettings(_Section):
    """The adapter's shape. `target_modules` are the names of linear layers, kept sorted."""

    r: int = Field(64, ge=1, le=1024)
    alpha: Count = 128
    dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: tuple[str, ...] = Field(("k_proj", "o_proj", "q_proj", "v_proj"), min_length=1)

    @field_validator("target_modules")
    @classmethod
    def _sorted(cls, modules: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(modules))


class DataConfig(_Section):
    """Where the rows come from.

    `train` and `eval` are files (relative to the YAML file) or `hub:org/name@<40-hex commit>`; `split` and `subset` are
    for the Hub alone. Without `eval`, the share `eval_fraction` of the training rows is held out.
    """

    train: str | None = None
    eval: str | None = None
    split: str = "train"
    eval_split: str = "test"
    subset: str | None = None
    eval_fraction: float = Field(0.1, ge=0, le=0.5)


class ReportConfig(_Section):
    """How much is measured and shown: held-out rows evaluated, prompts answered side by side, tokens an answer."""

    max_eval_rows: int = Field(200, ge=1)
    answers: int = Field(3, ge=0, le=50)
    max_new_tokens: int = Field(64, ge=1, le=2048)


class TrainingConfig(_Section):
    """One training run. Every field has a default but the base and the data, which the command line may give."""

    name: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    licence: str = Field("other", min_length=1)
    base: str | None = None
    method: Literal["dpo", "sft"] = "dpo"
    loss_type: tuple[LossType, ...] = Field(("sigmoid",), min_length=1)
    loss_weights: tuple[Positive, ...] | None = None
    beta: Positive = 0.1
    lora: LoraSettings = LoraSettings()
    dtype: Literal["float32", "bfloat16"] = "float32"
    quantization: Literal["none", "4bit"] = "none"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Count | None = None
    seed: int = Field(42, ge=0, lt=2**32)
    deterministic: bool = True
    max_steps: Count | None = None
    epochs: Count | None = None
    batch_size: Count = 4
    gradient_accumulation_steps: Count = 1
    learning_rate: Positive = 5e-6
    lr_scheduler: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    warmup_ratio: float = Field(0.0, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: Positive = 1.0
    max_length: int = Field(1024, ge=8)
    gradient_checkpointing: bool = False
    precompute_ref_log_probs: bool = True
    save_steps: Count = 10
    save_total_limit: int = Field(2, ge=2)
    logging_steps: Count = 1
    data: DataConfig = DataConfig()
    report: ReportConfig = ReportConfig()

    def steps(self, rows: int) -> int:
        """Optimizer steps of the whole run on `rows` training rows: `max_steps`, else `epochs`, else one epoch."""
        if self.max_steps is not None:
            return self.max_steps
        batches = math.ceil(rows / self.batch_size)
        return math.ceil(batches / self.gradient_accumulation_steps) * (self.epochs or 1)

    @property
    def method_label(self) -> Literal["dpo", "sft", "dpo+sft"]:
        """The method as the manifest names it."""
        return "dpo+sft" if self.method == "dpo" and "sft" in self.loss_type else self.method

    def overridden(
        self,
        *,
        base: str | None = None,
        data: str | None = None,
        eval_data: str | None = None,
        max_steps: int | None = None,
    ) -> Self:
        """This config with what the command line says. Its own data replace both splits: another's held-out rows
        would measure nothing."""
        changes: dict[str, Any] = {}
        if base is not None:
            changes["base"] = base
        if max_steps is not None:
            changes |= {"max_steps": max_steps, "epochs": None}
        if data is not None:
            changes["data"] = self.data.model_copy(update={"train": data, "eval": eval_data})
        elif eval_data is not None:
            changes["data"] = self.data.model_copy(update={"eval": eval_data})
        return self.model_copy(update=changes)


def load_config(path: Path) -> TrainingConfig:
    """Read a YAML file. Refusals name every mistake with its key; data paths become relative to the file's folder."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Refused(
            f"{path} cannot be read: {error.strerror}", fix="Name a YAML file; training/configs/ holds some."
        ) from error
    except UnicodeDecodeError as error:
        raise Refused(f"{path} is not UTF-8 text: byte {error.start} is wrong", fix="Save it as UTF-8.") from error
    return parse_config(text, subject=str(path), folder=path.parent)


def parse_config(text: str, *, subject: str, folder: Path) -> TrainingConfig:
    """The config in `text`; `subject` stands in messages, `folder` is what data paths are relative to. Pure."""
    raw = _read_yaml(text, subject)
    field_mistakes: list[Refused] = []
    try:
        config = _validate(raw)
    except ValidationError as error:
        field_mistakes = [_as_refused(problem) for problem in _innermost(error)]
        config = _validate(_without_wrong_keys(raw, error))
    wrong = {mistake.where for mistake in field_mistakes}
    rules = [mistake for mistake in cross_mistakes(config, _keys(raw)) if mistake.where not in wrong]
    Refusals.raise_if_any(subject, [*field_mistakes, *rules, *_base_mistakes(config)])
    places = {key: _beside(folder, getattr(config.data, key)) for key in ("train", "eval")}
    return config.model_copy(update={"data": config.data.model_copy(update=places)})


def _validate(raw: Mapping[str, Any]) -> TrainingConfig:
    # Through JSON: strict Python mode would refuse a list for a tuple.
    return TrainingConfig.model_validate_json(json.dumps(raw, default=str))


def _read_yaml(text: str, subject: str) -> Mapping[str, Any]:
    try:
        raw = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{subject}, line {mark.line + 1}" if mark else subject
        raise Refused(f"not valid YAML: {error.problem or error.context}", where=where) from error
    except YAMLError as error:
        raise Refused("not valid YAML", why=str(error), where=subject) from error
    if not isinstance(raw, Mapping):
        raise Refused("holds no settings", fix="Write keys such as `base:` and `max_steps:`.", where=subject)
    return {str(key): value for key, value in raw.items()}


def _keys(raw: Mapping[str, Any], prefix: str = "") -> frozenset[str]:
    """Every key that was written, as `lora.r`."""
    found = {f"{prefix}{key}" for key in raw}
    for key, value in raw.items():
        if isinstance(value, Mapping):
            found |= _keys(value, f"{prefix}{key}.")
    return frozenset(found)


def _without_wrong_keys(raw: Mapping[str, Any], error: ValidationError) -> dict[str, Any]:
    """`raw` without what was refused, so that the rules between keys can still be checked on the rest."""
    kept = json.loads(json.dumps(raw, default=str))
    for problem in error.errors():
        section: Any = kept
        *parents, last = [part for part in problem["loc"] if isinstance(part, str)][:2] or [""]
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
        if isinstance(section, dict):
            section.pop(last, None)
    return dict(kept)


def _innermost(error: ValidationError) -> list[Any]:
    """Without what only follows from a mistake inside: a list whose one entry is wrong is called empty, too."""
    problems = error.errors()
    places = [problem["loc"] for problem in problems]
    return [
        problem
        for problem, place in zip(problems, places, strict=True)
        if not any(len(other) > len(place) and other[: len(place)] == place for other in places)
    ]


def _as_refused(problem: Mapping[str, Any]) -> Refused:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return Refused("there is no such key", fix=_closest(problem["loc"]), where=key)
    shown = json.dumps(problem["input"], default=str)
    return Refused(f"is {shown[:80]}: {problem['msg'][0].lower()}{problem['msg'][1:]}", where=key)


def _closest(loc: tuple[str | int, ...]) -> str:
    sections: dict[str, type[BaseModel]] = {"lora": LoraSettings, "data": DataConfig, "report": ReportConfig}
    section = sections.get(str(loc[0]), TrainingConfig) if len(loc) > 1 else TrainingConfig
    prefix = f"{loc[0]}." if len(loc) > 1 else ""
    close = difflib.get_close_matches(str(loc[-1]), section.model_fields, n=1)
    listed = ", ".join(section.model_fields)
    return f"Did you mean {prefix}{close[0]}?" if close else f"The keys here are {listed}."


def _base_mistakes(config: TrainingConfig) -> Iterable[Refused]:
    if config.base is None:
        return ()
    try:
        parse_base(config.base)
    except Refused as error:
        return (Refused(error.happened, why=error.why, fix=error.fix, where="base"),)
    return ()


def _beside(folder: Path, place: str | None) -> str | None:
    if place is None or place.startswith("hub:"):
        return place
    return str(folder / Path(place).expanduser())
