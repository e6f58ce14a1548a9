"""What the engine is told of memory: as it was reckoned, or, where the base's shape is not known, by the settings."""

from __future__ import annotations

from takeover.planning.fit import MOST_SLOTS, VllmFlags, lora_rank_for
from takeover.planning.hardware import gpu_named
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.settings._kubernetes import parse_options

__all__ = ["flags_for"]

_UTILIZATION = 0.9  # vLLM's own default
_BATCHED_TOKENS = 2048


def flags_for(models: tuple[TrainedModel, ...], spec: EndpointSpec) -> VllmFlags:
    """The flags of the spec, where it has them; Refused for a rank that vLLM does not take. Pure."""
    if spec.flags:
        return VllmFlags(**spec.flags)
    options = parse_options(spec.options)
    sequences = max(4 * options.concurrency, 16)
    return VllmFlags(
        max_lora_rank=lora_rank_for(max(model.rank for model in models)),
        max_loras=min(len(models), MOST_SLOTS),
        max_cpu_loras=len(models),
        max_model_len=options.context_length,
        max_num_seqs=sequences,
        max_num_batched_tokens=max(_BATCHED_TOKENS, sequences),
        gpu_memory_utilization=_UTILIZATION,
        tensor_parallel_size=options.gpus,
        dtype=None if gpu_named(options.gpu).bfloat16 else "half",
    )
