"""Whether a base with its adapters fits on a GPU under vLLM, how many requests at once, and with which flags. Pure.

All figures are of one GPU: with tensor parallelism each holds its share. `fit` never refuses for want of memory, it
says `fits=False`; `require_fit` refuses, with what would fit.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import replace

from takeover.errors import Refused
from takeover.planning._memory import (
    GIB,
    Engine,
    activation_bytes,
    graph_bytes,
    lora_slot_bytes,
    runtime_bytes,
    tokens_bytes,
    weight_bytes,
)
from takeover.planning._types import Fit, Load, Term, VllmFlags
from takeover.planning.hardware import GPUS, INSTANCES, Gpu, Instance, gpu_named, instance_named
from takeover.planning.shape import BaseShape, Quantization, shape_of

__all__ = [
    "GPUS",
    "INSTANCES",
    "LORA_RANKS",
    "MOST_SLOTS",
    "BaseShape",
    "Engine",
    "Fit",
    "Gpu",
    "Instance",
    "Load",
    "Quantization",
    "Term",
    "VllmFlags",
    "fit",
    "gpu_named",
    "instance_named",
    "lora_rank_for",
    "require_fit",
    "shape_of",
    "what_would_fit",
]

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # vllm 0.32.0, config/lora.py: MaxLoRARanks
MOST_SLOTS = 8  # adapters of one batch; the rest wait in the machine's memory and are swapped in
_LARGEST_LORA_VOCAB = 258048  # vllm 0.32.0, lora/layers/logits_processor.py


def lora_rank_for(rank: int, *, where: str = "") -> int:
    """The smallest `--max-lora-rank` that vLLM has for an adapter of that rank. Refused above the largest."""
    if rank < 1:
        raise Refused(f"an adapter has no rank {rank}", where=where, fix="A rank is 1 or more.")
    for known in LORA_RANKS:
        if rank <= known:
            return known
    raise Refused(
        f"the adapter's rank {rank} is more than vLLM takes",
        why=f"Its largest --max-lora-rank is {LORA_RANKS[-1]}.",
        fix=f"Train with rank {LORA_RANKS[-1]} or less, or merge the adapter into its base.",
        where=where,
    )


def fit(shape: BaseShape, load: Load, gpu: Gpu, gpus: int = 1, engine: Engine | None = None) -> Fit:
    """How `load` fits on `gpus` cards of one machine (those of one replica). Under a millisecond.

    `engine` fixes what vLLM is told; what it leaves open is chosen here and comes back in `flags`. Refused: a rank or
    a context that cannot be, a base whose heads `gpus` cannot share, a vocabulary too large for vLLM's LoRA.
    """
    _require_sensible(shape, load, gpus)
    parallel = _tensor_parallel(shape, gpus)
    chosen = _chosen_engine(load, gpu, engine)
    rank = lora_rank_for(load.rank) if load.adapters else 0
    slots = min(load.adapters, MOST_SLOTS)
    fixed = _fixed_terms(shape, gpu, parallel, chosen, rank, slots)
    available = int(gpu.memory_gib * GIB * chosen.gpu_memory_utilization)
    step = chosen.batched_tokens(gpu)
    request = tokens_bytes(shape, load.context_length, step, parallel, chosen.kv_cache_bytes)
    room = max(available - sum(term.bytes for term in fixed), 0)
    terms = (*fixed, _cache_term(shape, load, request, chosen))
    flags = VllmFlags(
        max_lora_rank=rank,
        max_loras=slots,
        max_cpu_loras=load.adapters,
        max_model_len=load.context_length,
        max_num_seqs=chosen.sequences(gpu),
        max_num_batched_tokens=step,
        gpu_memory_utilization=chosen.gpu_memory_utilization,
        tensor_parallel_size=parallel,
        dtype=None if gpu.bfloat16 else "half",
    )
    total = sum(term.bytes for term in terms)
    found = Fit(
        terms=terms,
        total_bytes=total,
        available_bytes=available,
        fits=total <= available,
        largest_concurrency=room // request,
        kv_cache_bytes=room,
        kv_cache_tokens=int(room / request * load.context_length),
        tensor_parallel=parallel,
        gpu=gpu,
        flags=flags,
        sentences=(),
    )
    return replace(found, sentences=_sentences(shape, load, found, request, gpus, chosen))


def require_fit(shape: BaseShape, load: Load, gpu: Gpu, gpus: int = 1, *, where: str = "") -> Fit:
    """The fit, or Refused with the missing memory and with what would fit."""
    found = fit(shape, load, gpu, gpus)
    if found.fits:
        return found
    others = what_would_fit(shape, load)
    raise Refused(
        found.sentences[0],
        why=" ".join(found.sentences[1:]),
        fix=f"What would fit: {', '.join(others)}." if others else "Nothing known here fits it: ask for less.",
        where=where,
    )


def what_would_fit(shape: BaseShape, load: Load, *, most: int = 4) -> tuple[str, ...]:
    """The smallest machines that hold the load, such as "1 x L4 (g6.xlarge)", those with the fewest GPUs first."""
    best: dict[tuple[str, int], Instance] = {}
    for machine in INSTANCES.values():
        key = (machine.gpu.name, machine.gpus)
        if not machine.name.startswith("ml.") and (key not in best or machine.vcpus < best[key].vcpus):
            best[key] = machine
    ordered = sorted(best.values(), key=lambda machine: (machine.gpus, machine.gpu.memory_gib))
    names: list[str] = []
    seen: set[str] = set()
    for machine in ordered:
        if machine.gpu.name not in seen and _holds(shape, load, machine):
            seen.add(machine.gpu.name)
            names.append(f"{machine.gpus} x {machine.gpu.name} ({machine.name})")
    return tuple(names[:most])


def _holds(shape: BaseShape, load: Load, machine: Instance) -> bool:
    try:
        return fit(shape, load, machine.gpu, machine.gpus).fits
    except Refused:
        return False


def _require_sensible(shape: BaseShape, load: Load, gpus: int) -> None:
    if min(load.context_length, load.concurrency, gpus) < 1 or load.adapters < 0:
        raise Refused("context length, concurrency and GPUs are 1 or more, adapters 0 or more")
    if shape.longest_context and load.context_length > shape.longest_context:
        raise Refused(
            f"{shape.name} reads {shape.longest_context} tokens at most, and {load.context_length} are asked for",
            fix=f"Ask for {shape.longest_context} or less.",
        )
    if load.adapters and shape.embedding_lora and shape.vocab > _LARGEST_LORA_VOCAB:
        raise Refused(
            f"vLLM takes no LoRA on {shape.name}: its vocabulary of {shape.vocab} is over {_LARGEST_LORA_VOCAB}"
        )


def _tensor_parallel(shape: BaseShape, gpus: int) -> int:
    """The most of `gpus` that can share the base: heads are dealt out whole, and so is each quantized group."""
    return next(size for size in range(gpus, 0, -1) if size == 1 or _can_share(shape, size))


def _can_share(shape: BaseShape, size: int) -> bool:
    pairs = shape.kv_heads % size == 0 or size % shape.kv_heads == 0
    group = shape.quantization.group_size if shape.quantization else 0
    whole = shape.intermediate % size == 0 and (not group or shape.intermediate // size % group == 0)
    return shape.heads % size == 0 and pairs and whole


def _chosen_engine(load: Load, gpu: Gpu, engine: Engine | None) -> Engine:
    """Room for four requests to each one of full length: most are shorter, and they share the cache."""
    if engine is not None:
        return engine
    sequences = max(load.concurrency, min(max(4 * load.concurrency, 16), 256))
    chosen = Engine(max_num_seqs=math.ceil(sequences / 8) * 8)
    return replace(chosen, max_num_batched_tokens=max(chosen.batched_tokens(gpu), chosen.sequences(gpu)))


def _fixed_terms(shape: BaseShape, gpu: Gpu, parallel: int, engine: Engine, rank: int, slots: int) -> tuple[Term, ...]:
    step, sequences = engine.batched_tokens(gpu), engine.sequences(gpu)
    share = f", a {parallel}th of it on each GPU" if parallel > 1 else ""
    terms = [Term("weights", weight_bytes(shape, parallel), f"{_weights_in_words(shape)}{share}.")]
    if slots:
        slot = lora_slot_bytes(shape, rank, parallel)
        why = f"{slots} of {slot / GIB:.2f} GiB: vLLM keeps an A and a B of rank {rank} for every linear layer."
        terms.append(Term("LoRA slots", slots * slot, why))
    why = f"The peak of vLLM's trial run with {step} tokens in one step and {sequences} requests."
    terms.append(Term("activations", activation_bytes(shape, engine, gpu, parallel), why))
    if engine.graphs_in_budget:
        why = (
            f"One graph for each size of a batch up to {min(512, 2 * sequences)}{', twice for LoRA' if slots else ''}."
        )
        terms.append(Term("CUDA graphs", graph_bytes(shape, engine, gpu, lora=bool(slots)), why))
    why = "The CUDA context, its libraries and workspaces" + (" and NCCL's buffers." if parallel > 1 else ".")
    terms.append(Term("CUDA and libraries", runtime_bytes(parallel), why))
    return tuple(terms)


def _weights_in_words(shape: BaseShape) -> str:
    size = f"{shape.parameters / 1e9:.2f} billion parameters"
    if shape.stored_bytes:
        return f"{size}, {shape.stored_bytes / GIB:.2f} GiB as published"
    if shape.quantization is None:
        return f"{size} of {shape.dtype_bytes} bytes"
    return f"{size}, linear layers of {shape.quantization.bits} bits ({shape.quantization.method}), embeddings of 16"


def _cache_term(shape: BaseShape, load: Load, request: int, engine: Engine) -> Term:
    kind = f"{shape.layers} layers x {shape.kv_heads} heads x {shape.head_size} x 2 x {engine.kv_cache_bytes} bytes"
    slides = f", {shape.sliding_layers} of the layers over {shape.window} tokens only" if shape.sliding_layers else ""
    many = "requests" if load.concurrency > 1 else "request"
    why = f"{load.concurrency} {many} of {load.context_length} tokens, a token {kind} over all GPUs{slides}."
    return Term("KV cache", load.concurrency * request, why)


def _sentences(shape: BaseShape, load: Load, found: Fit, request: int, gpus: int, chosen: Engine) -> tuple[str, ...]:
    cards, asked = f"{found.tensor_parallel} x {found.gpu.name}", f"{load.concurrency} x {load.context_length} tokens"
    needed, there = found.total_bytes / GIB, found.available_bytes / GIB
    verdict = "fits" if found.fits else f"lacks {max(needed - there, 0.01):.2f} GiB"
    said = [f"{shape.name} with {asked} {verdict} on {cards}: it needs {needed:.2f} of {there:.2f} GiB on each."]
    if found.largest_concurrency:
        many = "requests fit" if found.largest_concurrency > 1 else "request fits"
        said.append(f"At most {found.largest_concurrency} {many} at once at {load.context_length} tokens.")
    elif found.kv_cache_bytes:
        longest = _longest(shape, found, chosen)
        said.append(f"Not one request of {load.context_length} tokens fits; the longest that does has {longest}.")
    else:
        without = needed - load.concurrency * request / GIB - there
        said.append(f"Even without a request it lacks {without:.2f} GiB.")
    if found.tensor_parallel < gpus:
        said.append(f"{gpus - found.tensor_parallel} of the {gpus} GPUs stay idle: its heads divide no further.")
    if load.adapters > found.flags.max_loras:
        said.append(f"{found.flags.max_loras} of {load.adapters} adapters run in one batch; the others wait in memory.")
    return tuple(said)


def _longest(shape: BaseShape, found: Fit, engine: Engine) -> int:
    """Tokens of the longest request for which there is room, in whole blocks of 16."""
    step, parallel = found.flags.max_num_batched_tokens, found.tensor_parallel

    def taken(blocks: int) -> int:
        return tokens_bytes(shape, blocks * 16, step, parallel, engine.kv_cache_bytes)

    return 16 * (bisect_right(range(found.flags.max_model_len // 16 + 1), found.kv_cache_bytes, key=taken) - 1)
