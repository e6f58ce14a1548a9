"""What goes into the fit and what comes out of it; `takeover.planning.fit` gives these names."""

from __future__ import annotations

from dataclasses import dataclass

from takeover.planning.hardware import Gpu

__all__ = ["Fit", "Load", "Term", "VllmFlags"]

_GIB = 1 << 30


@dataclass(frozen=True)
class Load:
    """What is asked of it: `concurrency` requests at once, each as long as `context_length` tokens (prompt, answer).

    `adapters` of `rank` at most; 0 adapters serve the base alone. `target_modules` as the adapter's config has them.
    """

    context_length: int = 8192
    concurrency: int = 1
    adapters: int = 1
    rank: int = 16
    target_modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Term:
    """One share of a GPU's memory, with the sentence that says why it is that large."""

    name: str
    bytes: int
    why: str

    @property
    def gib(self) -> float:
        return self.bytes / _GIB


@dataclass(frozen=True)
class VllmFlags:
    """What `vllm serve` is told, so that it has the memory that was reckoned. 0 LoRA slots: LoRA stays off."""

    max_lora_rank: int
    max_loras: int
    max_cpu_loras: int
    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    gpu_memory_utilization: float
    tensor_parallel_size: int
    dtype: str | None = None

    def arguments(self) -> tuple[str, ...]:
        """As the command line takes them, flag and value in turns."""
        lora = {
            "--max-loras": self.max_loras,
            "--max-cpu-loras": self.max_cpu_loras,
            "--max-lora-rank": self.max_lora_rank,
        }
        rest = {
            "--max-model-len": self.max_model_len,
            "--max-num-seqs": self.max_num_seqs,
            "--max-num-batched-tokens": self.max_num_batched_tokens,
            "--gpu-memory-utilization": self.gpu_memory_utilization,
            "--tensor-parallel-size": self.tensor_parallel_size,
        } | ({"--dtype": self.dtype} if self.dtype else {})
        pairs = [str(part) for pair in ((lora if self.max_loras else {}) | rest).items() for part in pair]
        return ("--enable-lora", *pairs) if self.max_loras else tuple(pairs)


@dataclass(frozen=True)
class Fit:
    """The answer for one kind of GPU. `terms` add up to `total_bytes`, with the cache that the load needs in them.

    `largest_concurrency` requests of the load's context length fit at once; `kv_cache_tokens` is what vLLM prints as
    "GPU KV cache size". `tensor_parallel` GPUs hold one copy of the base.
    """

    terms: tuple[Term, ...]
    total_bytes: int
    available_bytes: int
    fits: bool
    largest_concurrency: int
    kv_cache_bytes: int
    kv_cache_tokens: int
    tensor_parallel: int
    gpu: Gpu
    flags: VllmFlags
    sentences: tuple[str, ...]
