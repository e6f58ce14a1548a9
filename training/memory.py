"""How much memory a run needs, from the base's config.json alone. Pure; the configs' comments are checked against it.

Weights + LoRA + gradients and optimizer + activations + the libraries' own, in decimal GB. The activations are an
estimate of the peak (bytes a token, below). Measured on 2026-11-24: the quickstart on a CPU peaked at 3.6 GB, of which
0.5 GB are the base's file, read once; computed are 2.9 GB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.config import TrainingConfig

__all__ = ["MemoryNeed", "ModelShape", "memory_need"]

_BYTES = {"float32": 4.0, "bfloat16": 2.0}
# NF4 with double quantization: 4 bits and 0.127 bits of constants a weight (Dettmers et al. 2023, arXiv 2305.14314).
_NF4_BYTES = (4 + 0.127) / 8
# CUDA's context and cuBLAS; Python with torch, transformers and TRL.
_RUNTIME_BYTES = {True: 1e9, False: 0.8e9}
_HEAD_BYTES = 4096 * 32768 * 2.0


@dataclass(frozen=True)
class ModelShape:
    """A Llama-like decoder, as its config.json says."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    vocabulary: int
    tied: bool

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ModelShape | None:
        """None for a model whose config does not have Llama's fields."""
        try:
            heads = int(config["num_attention_heads"])
            return cls(
                hidden=int(config["hidden_size"]),
                intermediate=int(config["intermediate_size"]),
                layers=int(config["num_hidden_layers"]),
                heads=heads,
                kv_heads=int(config.get("num_key_value_heads") or heads),
                head=int(config.get("head_dim") or config["hidden_size"] // heads),
                vocabulary=int(config["vocab_size"]),
                tied=bool(config.get("tie_word_embeddings", False)),
            )
        except (KeyError, TypeError, ValueError):
            return None

    def linear(self, module: str) -> tuple[int, int]:
        """(inputs, outputs) of one of a layer's linear modules; (0, 0) for an unknown one."""
        query, key = self.heads * self.head, self.kv_heads * self.head
        return {
            "q_proj": (self.hidden, query),
            "k_proj": (self.hidden, key),
            "v_proj": (self.hidden, key),
            "o_proj": (query, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }.get(module, (0, 0))

    @property
    def layer_weights(self) -> int:
        """Weights of the linear modules of all layers: what quantization shrinks."""
        modules = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
        return self.layers * sum(ins * outs for ins, outs in map(self.linear, modules))

    @property
    def other_weights(self) -> int:
        """Embeddings, head and norms."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2) + (2 * self.layers + 1) * self.hidden


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes, part by part."""

    weights: float
    adapter: float
    gradients_and_optimizer: float
    activations: float
    runtime: float

    @property
    def fixed(self) -> float:
        """What is needed whatever the batch: a run that does not have this cannot start."""
        return self.weights + self.adapter + self.gradients_and_optimizer

    @property
    def total(self) -> float:
        return self.fixed + self.activations + self.runtime

    def __str__(self) -> str:
        parts = {
            "weights": self.weights,
            "LoRA": self.adapter,
            "gradients and optimizer": self.gradients_and_optimizer,
            "activations": self.activations,
            "libraries": self.runtime,
        }
        listed = " + ".join(f"{name} {size / 1e9:.1f}" for name, size in parts.items())
        return f"{listed} = {self.total / 1e9:.1f} GB"


def memory_need(shape: ModelShape, config: TrainingConfig, *, gpu: bool, longest_row: int | None = None) -> MemoryNeed:
    """The peak of a run, every row being as long as the longest one (tokens; `max_length` where that is not known).

    DPO holds the chosen and the rejected answer of each pair.
    """
    each = _BYTES[config.dtype]
    quantized = config.quantization == "4bit"
    layers = shape.layer_weights * (_NF4_BYTES if quantized else each)
    lora = shape.layers * sum(config.lora.r * sum(shape.linear(module)) for module in config.lora.target_modules)
    # PEFT keeps LoRA in float32; TRL turns it to bfloat16 on a quantized base. Adam keeps two figures a weight.
    lora_each = 2.0 if quantized else 4.0
    tokens = config.batch_size * (2 if config.method == "dpo" else 1) * (longest_row or config.max_length)
    return MemoryNeed(
        weights=layers + shape.other_weights * each,
        adapter=lora * lora_each,
        gradients_and_optimizer=lora * 3 * lora_each,
        activations=tokens * _activation_bytes(shape, config) + _HEAD_BYTES,
        runtime=_RUNTIME_BYTES[gpu],
    )


def _activation_bytes(shape: ModelShape, config: TrainingConfig) -> float:
    """Bytes a token. The backward pass needs about 10 vectors of the hidden size a layer (norms, q, k, v, attention's
    output, residuals, LoRA's inputs) and 4 of the intermediate size; with gradient checkpointing that of one layer at a
    time, and one hidden vector of each other layer. The head takes two hidden vectors in float32; its logits are never
    whole (TRL 1.16 computes them in tiles, `_HEAD_BYTES`)."""
    each = 2.0 if config.dtype == "bfloat16" else 4.0
    layer = (10 * shape.hidden + 4 * shape.intermediate) * each
    body = layer + shape.layers * shape.hidden * each if config.gradient_checkpointing else layer * shape.layers
    return body + 8.0 * shape.hidden
