"""What vLLM puts on one GPU, in bytes, as vLLM itself reckons it at start-up (read in vllm 0.32.0). Pure.

`v1/worker/gpu_worker.py: determine_available_memory`: the share of the card that vLLM may use, less what is there
after the weights and the profiling run, less that run's peak, less the CUDA graphs; the rest holds the KV cache.
Where vLLM measures, the constants below stand in; `tests/planning/test_fit_accuracy.py` compares with start-up lines.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from takeover.planning.hardware import Gpu
from takeover.planning.shape import BaseShape

__all__ = [
    "GIB",
    "Engine",
    "activation_bytes",
    "graph_bytes",
    "lora_slot_bytes",
    "runtime_bytes",
    "tokens_bytes",
    "weight_bytes",
]

GIB = 1 << 30
_MIB = 1 << 20
_BLOCK = 16  # tokens of a block of the KV cache: vLLM's default on CUDA
_VOCAB_PADDING = 64  # vLLM rounds the vocabulary up to a multiple of this
# Bytes that the sampler has at once for each request and each word of the vocabulary: logits of 16 and of 32 bits,
# probabilities, noise. Where vLLM sorted (before its Triton kernel, and without FlashInfer): values, their 64-bit
# places, the sort's own copy of both, and the running sum.
_SAMPLER, _SORTING_SAMPLER = 14, 38
# "non-torch memory" in start-up lines: 0.06 to 0.14 GiB up to 0.19, 0.15 to 0.47 since; 0.3 to 1.4 more with NCCL.
_RUNTIME, _COMMUNICATION = int(0.25 * GIB), int(0.45 * GIB)
_GRAPH_LAYER = int(0.22 * _MIB)  # one graph of one layer: 0.48 GiB for 28 layers and 86 graphs, 0.7 GiB for 36 layers


@dataclass(frozen=True)
class Engine:
    """The settings of vLLM that decide on memory; None stands for what vLLM chooses on that GPU.

    `graphs_in_budget`: since 0.21 vLLM takes CUDA graphs from its share of the card, before they came on top of it.
    `sampler_sorts`: up to about 0.12 the profiling run sorted the vocabulary for every request.
    """

    gpu_memory_utilization: float = 0.92
    max_num_batched_tokens: int | None = None
    max_num_seqs: int | None = None
    kv_cache_bytes: int = 2
    enforce_eager: bool = False
    graphs_in_budget: bool = True
    sampler_sorts: bool = False

    def batched_tokens(self, gpu: Gpu) -> int:
        """Tokens of one step: what vLLM's API server takes by default (engine/arg_utils.py: get_batch_defaults)."""
        if self.max_num_batched_tokens is not None:
            return self.max_num_batched_tokens
        if gpu.memory_gib >= 160:
            return 16384
        return 8192 if gpu.memory_gib >= 70 and not gpu.name.startswith("A100") else 2048

    def sequences(self, gpu: Gpu) -> int:
        """Requests of one step, likewise."""
        if self.max_num_seqs is not None:
            return self.max_num_seqs
        return 1024 if gpu.memory_gib >= 70 and not gpu.name.startswith("A100") else 256


def weight_bytes(shape: BaseShape, gpus: int) -> int:
    """Weights on each of `gpus` that share the base: matrices are cut, norms are on every one of them."""
    if shape.stored_bytes:
        return math.ceil(shape.stored_bytes / gpus)
    embeddings = shape.embedding_parameters // shape.vocab * _padded(shape.vocab) * shape.dtype_bytes
    linear = shape.parameters - shape.embedding_parameters
    repeated = _repeated_kv_parameters(shape, gpus)
    return math.ceil((embeddings + linear * _bytes_of_linear(shape)) / gpus + repeated * _bytes_of_linear(shape))


def _bytes_of_linear(shape: BaseShape) -> float:
    found = shape.quantization
    if found is None:
        return shape.dtype_bytes
    # A scale of 16 bits for each group, and a zero point of the weight's own bits.
    scales = (2 + found.bits / 8) / found.group_size if found.group_size else 0.0
    return found.bits / 8 + scales


def _repeated_kv_parameters(shape: BaseShape, gpus: int) -> float:
    """More GPUs than key-value heads: each head's projections then stand on several of them."""
    if gpus <= shape.kv_heads:
        return 0.0
    whole = 2 * shape.layers * shape.hidden * shape.head_size
    return whole - whole * shape.kv_heads / gpus


def _padded(vocab: int) -> int:
    return math.ceil(vocab / _VOCAB_PADDING) * _VOCAB_PADDING


def lora_slot_bytes(shape: BaseShape, rank: int, gpus: int) -> int:
    """One adapter slot on one GPU: an A and a B for every linear layer, whatever the adapter trains.

    As lora/layers/*.py allocate them: of layers that are cut by columns (queries, keys, values, gate, up) A is whole
    and B is cut, of those cut by rows (output, down) A is cut and B is whole. 16 bits each, also on a quantized base.
    """
    queries, pairs = shape.heads * shape.head_size, max(shape.kv_heads, gpus) * shape.head_size
    columns = 3 * shape.hidden + (queries + 2 * pairs) / gpus
    rows = queries / gpus + shape.hidden
    expert = 2 * (shape.hidden + shape.intermediate / gpus) + shape.intermediate / gpus + shape.hidden
    shared = 3 * shape.hidden + 3 * shape.shared_intermediate / gpus if shape.shared_intermediate else 0
    per_layer = columns + rows + expert * max(shape.experts, 1) + shared
    ends = 2 * (shape.vocab + shape.hidden) if shape.embedding_lora else 0
    return math.ceil(rank * 2 * (shape.layers * per_layer + ends))


def tokens_bytes(shape: BaseShape, tokens: int, step_tokens: int, gpus: int, value_bytes: int = 2) -> int:
    """KV cache of one request of `tokens` on one GPU: keys and values of each layer, in whole blocks of 16 tokens.

    Layers that slide hold their window and one step. vLLM pools layers in groups of equal size, so that one group of
    fewer layers still takes a whole group's pages (v1/core/kv_cache_utils.py).
    """
    page = 2 * _BLOCK * max(shape.kv_heads // gpus, 1) * shape.head_size * value_bytes
    blocks = math.ceil(tokens / _BLOCK)
    if not shape.sliding_layers:
        return blocks * shape.layers * page
    full = shape.layers - shape.sliding_layers
    group = min(full, shape.sliding_layers)
    held = min(blocks, math.ceil(min(shape.window - 1 + step_tokens, tokens) / _BLOCK) + 1)
    groups = math.ceil(full / group) * blocks + math.ceil(shape.sliding_layers / group) * held
    return groups * group * page


def activation_bytes(shape: BaseShape, engine: Engine, gpu: Gpu, gpus: int) -> int:
    """The peak of vLLM's profiling run: the widest layer with a whole step's tokens, or the sampler with all requests.

    They do not come at once, so the larger counts; the hidden states of the step stay beside the sampler.
    """
    tokens = engine.batched_tokens(gpu)
    hidden = tokens * shape.hidden * shape.dtype_bytes
    wide = (shape.experts_per_token or 1) * shape.intermediate + shape.shared_intermediate
    layer = 3 * hidden + tokens * 3 * wide // gpus * shape.dtype_bytes
    routed = tokens * shape.experts_per_token * shape.hidden * shape.dtype_bytes
    word = _SORTING_SAMPLER if engine.sampler_sorts else _SAMPLER
    sampler = hidden + min(engine.sequences(gpu), tokens) * _padded(shape.vocab) * word
    return max(layer + routed, sampler)


def runtime_bytes(gpus: int) -> int:
    """What is on the card beside vLLM's tensors; more where several GPUs talk to each other."""
    return _RUNTIME + (_COMMUNICATION if gpus > 1 else 0)


def graph_bytes(shape: BaseShape, engine: Engine, gpu: Gpu, *, lora: bool) -> int:
    """CUDA graphs: one for each size of a batch, of the whole model and of its pieces; all twice with LoRA."""
    if engine.enforce_eager:
        return 0
    sequences = engine.sequences(gpu)
    pieces, whole = _captured_sizes(min(512, 2 * sequences)), _captured_sizes(min(512, sequences))
    return (pieces + whole) * shape.layers * _GRAPH_LAYER * (2 if lora else 1)


def _captured_sizes(largest: int) -> int:
    """How many sizes vLLM captures up to `largest`: 1, 2, 4, then every 8th up to 256, then every 16th."""
    small = sum(1 for size in (1, 2, 4) if size <= largest)
    return small + min(largest, 255) // 8 + max(largest - 240, 0) // 16
