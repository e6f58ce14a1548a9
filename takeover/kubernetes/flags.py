"""What the engine is told of memory: from the fit, or, where the base's shape is not known, from the settings alone."""

from __future__ import annotations

from takeover.planning.fit import Fit, VllmFlags, lora_rank_for
from takeover.planning.hardware import gpu_named
from takeover.providers._base import TrainedModel
from takeover.settings._kubernetes import KubernetesOptions

__all__ = ["flags_for"]

_MOST_SLOTS = 8
_UTILIZATION = 0.9


def flags_for(models: tuple[TrainedModel, ...], options: KubernetesOptions, fit: Fit | None = None) -> VllmFlags:
    """The fit's flags where there is a fit; Refused for a rank that vLLM does not take."""
    if fit is not None:
        return fit.flags
    sequences = max(4 * options.concurrency, 16)
    return VllmFlags(
        max_lora_rank=lora_rank_for(max(model.rank for model in models)),
        max_loras=min(len(models), _MOST_SLOTS),
        max_cpu_loras=len(models),
        max_model_len=options.context_length,
        max_num_seqs=sequences,
        max_num_batched_tokens=max(2048, sequences),
        gpu_memory_utilization=_UTILIZATION,
        tensor_parallel_size=options.gpus,
        dtype=None if gpu_named(options.gpu).bfloat16 else "half",
    )
