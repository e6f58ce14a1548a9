"""Whether a stack's base and adapters fit the GPU that it names: the settings' side of `takeover.planning.fit`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from takeover.bases import parse_base
from takeover.errors import Refused
from takeover.settings import Settings
from takeover.settings._raw import join

if TYPE_CHECKING:
    from takeover.adapter import Manifest
    from takeover.planning.fit import BaseShape, Fit

__all__ = ["Machine", "fit_of_stack", "flags_of_fit", "machine_of"]


@dataclass(frozen=True)
class Machine:
    """What one replica runs on: `gpu` and how many; `where` is the YAML key that says so."""

    gpu: str
    gpus: int
    where: str
    context_length: int | None
    concurrency: int


def machine_of(settings: Settings) -> Machine | None:
    """The machine that the settings name; None for tiers on machines that they do not choose. Pure."""
    from takeover.planning.hardware import instance_named

    if settings.sagemaker is not None:
        options, where = settings.sagemaker, join("sagemaker", "instanceType")
        instance = instance_named(options.instance_type)
        return Machine(instance.gpu.name, instance.gpus, where, options.context_length, options.target_concurrency)
    pods = settings.kubernetes
    if pods is None:
        return None
    if settings.eks is not None and settings.eks.instance_type is not None:
        # More than one node for a replica: the pods of a group share the base.
        instance, where = instance_named(settings.eks.instance_type), join("eks", "instanceType")
        return Machine(instance.gpu.name, pods.gpus * pods.nodes, where, pods.context_length, pods.concurrency)
    where = join("kubernetes", "gpu")
    return Machine(pods.gpu, pods.gpus * pods.nodes, where, pods.context_length, pods.concurrency)


def fit_of_stack(
    settings: Settings, manifests: Sequence[Manifest], *, say: Callable[[str], None] = lambda _: None
) -> Fit | None:
    """How it fits; None, and said why, where the shape of the base is not known. Refused, with what would fit, if not.

    Reads the base's config, from a cache or from the Hub.
    """
    machine = machine_of(settings)
    if machine is None:
        return None
    from takeover.bases._shape import base_shape
    from takeover.planning.fit import GPUS, Load, gpu_named, require_fit

    try:
        gpu = gpu_named(machine.gpu)
    except Refused:
        say(f"{machine.where} is {machine.gpu}: whether it fits is not known, for the sizes here are {', '.join(GPUS)}")
        return None
    shape = base_shape(parse_base(manifests[0].base), say=say)
    if shape is None:
        return None
    longest = shape.longest_context or _SHORT
    load = Load(
        context_length=min(machine.context_length or _SHORT, longest),
        concurrency=machine.concurrency,
        adapters=len(manifests),
        rank=max(manifest.rank for manifest in manifests),
        target_modules=tuple(sorted({name for manifest in manifests for name in manifest.target_modules})),
    )
    found = require_fit(shape, load, gpu, machine.gpus, where=machine.where)
    for words in _latency_sentences(settings, shape, found):
        say(words)
    return found


def _latency_sentences(settings: Settings, shape: BaseShape, found: Fit) -> tuple[str, ...]:
    """What `targetLatencyMs` can mean on this GPU, and whether it can hold; nothing where no goal is set."""
    from takeover.planning.latency import latency_sentences

    goal = settings.hosting.target_latency_ms
    if goal is None:
        return ()
    whole = settings.sagemaker.latency if settings.sagemaker is not None else None
    tokens = whole.tokens if whole is not None and whole.what == "whole-answer" else None
    return latency_sentences(
        shape, found.gpu, found.tensor_parallel, target_ms=goal, prompt_tokens=_PROMPT, answer_tokens=tokens
    )


# Where a stack says nothing of lengths: enough for a chat, a tenth of what many bases could read.
_SHORT = 8192
# A conversation with its instructions; a first token comes after all of it was read.
_PROMPT = 1024


def flags_of_fit(found: Fit | None) -> dict[str, Any]:
    """`EndpointSpec.flags`."""
    return {} if found is None else asdict(found.flags)
