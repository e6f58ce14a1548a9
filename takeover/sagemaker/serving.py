"""What is to be served, as one value that all requests are made of; and what is wrong with it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from takeover.bases import BaseRef, parse_base
from takeover.errors import Refusals, Refused
from takeover.planning.fit import VllmFlags, lora_rank_for
from takeover.planning.hardware import instance_named
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.settings._sagemaker import SageMakerOptions, sagemaker_mistakes

__all__ = ["Serving", "build_serving"]


@dataclass(frozen=True)
class Serving:
    """One endpoint. `flags` are vLLM's, by their names without dashes in front (`max-lora-rank`), as text."""

    name: str
    base: BaseRef
    models: tuple[TrainedModel, ...]
    min_replicas: int
    max_replicas: int
    options: SageMakerOptions
    flags: Mapping[str, str]
    labels: Mapping[str, str]

    @property
    def is_at_zero(self) -> bool:
        """Whether it may have no instance at all."""
        return self.min_replicas == 0

    @property
    def first_count(self) -> int:
        """How many instances it is made with, and set back to by an update that retains nothing."""
        return max(1, self.min_replicas)


def build_serving(models: tuple[TrainedModel, ...], spec: EndpointSpec) -> Serving:
    """The value for these models and this spec. Refusals with everything that is wrong, before any call.

    Without `spec.flags`, which `takeover.planning.fit` computes, vLLM gets the smallest that serve the adapters.
    """
    options = SageMakerOptions.model_validate(dict(spec.options))
    mistakes = list(sagemaker_mistakes(options, None, len(models)))
    base = _base(spec.base, options, mistakes)
    flags = _flags_of(VllmFlags(**spec.flags)) if spec.flags else _least_flags(models, options)
    if spec.min_replicas == 0 and not options.has_components:
        where, fix = "spec.minReplicas", "Set mode: inference-components, or keep one replica."
        mistakes.append(Refused("a variant with a model cannot go below one instance", fix=fix, where=where))
    Refusals.raise_if_any(f"sagemaker cannot serve {spec.name}", mistakes)
    assert base is not None, "without a base there is a mistake"
    return Serving(spec.name, base, models, spec.min_replicas, spec.max_replicas, options, flags, dict(spec.labels))


def _base(text: str, options: SageMakerOptions, mistakes: list[Refused]) -> BaseRef | None:
    try:
        base = parse_base(text)
    except Refused as error:
        mistakes.append(error)
        return None
    if base.kind != "hub" and options.base_weights is None:
        mistakes.append(
            Refused(
                f"the base {text} is on no hub that an instance could ask",
                why="SageMaker brings weights from S3, or the container pulls them from the Hugging Face Hub.",
                fix="Copy them once: aws s3 sync FOLDER s3://BUCKET/bases/NAME/, and set "
                "takeover:sagemaker.baseWeights: s3://BUCKET/bases/NAME/.",
                where="takeover:sagemaker.baseWeights",
            )
        )
    return base


def _least_flags(models: tuple[TrainedModel, ...], options: SageMakerOptions) -> dict[str, str]:
    """Without a fit: ranks rounded up to one that vLLM has, all adapters in one batch, all GPUs of the instance."""
    try:
        rank = lora_rank_for(max((model.rank for model in models), default=1), where="models")
        machine = instance_named(options.instance_type)
    except Refused:
        # The instance is among the mistakes by now; the rank is the tier's limit, which the caller has checked.
        return {}
    flags = {
        "max-lora-rank": str(rank),
        "max-loras": str(len(models)),
        "max-cpu-loras": str(len(models)),
        "tensor-parallel-size": str(machine.gpus),
    }
    if not machine.gpu.bfloat16:
        flags["dtype"] = "half"
    if options.context_length is not None:
        flags["max-model-len"] = str(options.context_length)
    return flags


def _flags_of(flags: VllmFlags) -> dict[str, str]:
    """By name; --enable-lora, which has no value, is in the environment in any case."""
    words = [word for word in flags.arguments() if word != "--enable-lora"]
    return {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2], strict=True)}
