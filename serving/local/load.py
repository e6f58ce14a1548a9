"""The base on this machine as a model that can be called, with what a server must know of it.

How `auto` chooses the dtype. SmolLM2-135M with an r=64 adapter, tokens a second of one and of eight requests, prompts
of 60 tokens (two cores of a Xeon with AMX, torch 2.15, 2026-11-24, `python -m benchmarks.serving --dtype ...`):

| dtype    | plain generate | one here | eight here |
|----------|---------------:|---------:|-----------:|
| float32  |             24 |       26 |        101 |
| bfloat16 |             25 |       28 |        136 |

Eight prompts are read 2.3 times as fast in bfloat16, and it takes half the memory. So `auto` is bfloat16 where the
processor computes it itself (AMX or AVX-512 BF16); elsewhere it is emulated and slow, and `auto` is float32. In
bfloat16 a batch rounds in other places than a single row: an answer may turn out otherwise when others are running, as
on a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from serving.local.cache import require_plain_attention
from takeover.bases.materialise import require_memory
from takeover.errors import Refused

__all__ = ["LoadedBase", "choose_dtype", "load_base"]

# What vLLM takes from a model's generation_config.json unless told otherwise (`--generation-config auto`, 2026-11).
_DEFAULTS_OF_THE_MODEL = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")


@dataclass(frozen=True)
class LoadedBase:
    """A model ready to be called. `defaults` are the sampling values that its makers recommend."""

    model: Any
    tokenizer: Any
    layers: int
    dtype: torch.dtype
    context_length: int
    vocabulary: int
    pad: int
    eos_ids: frozenset[int]
    defaults: Mapping[str, float]


def choose_dtype(wanted: str) -> torch.dtype:
    """`auto`, `float32` or `bfloat16` as what this processor shall compute in; the reason stands above."""
    if wanted != "auto":
        return torch.float32 if wanted == "float32" else torch.bfloat16
    can = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return torch.bfloat16 if can.get("amx_bf16") or can.get("avx512_bf16") else torch.float32


def load_base(path: Path, *, dtype: str, context_length: int | None) -> LoadedBase:
    """Load the folder. Refused: no memory, no causal language model, a context longer than it has."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    chosen = choose_dtype(dtype)
    require_memory(path, str(chosen).removeprefix("torch."))
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(path, dtype=chosen, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise Refused(
            "the base cannot be loaded",
            why=f"transformers says: {str(error).strip().splitlines()[0]}",
            fix="Check that the folder holds a causal language model with its tokenizer.",
            where=str(path),
        ) from error
    except (MemoryError, RuntimeError) as error:
        raise Refused(
            f"no memory for the base as {chosen}",
            why=str(error).strip().splitlines()[0] if str(error) else "The system gave no more.",
            fix="Close other programs, or choose a smaller base.",
        ) from error
    model.eval()
    return _describe(model, tokenizer, chosen, context_length)


def _describe(model: Any, tokenizer: Any, dtype: torch.dtype, context_length: int | None) -> LoadedBase:
    config, generation = model.config.get_text_config(), model.generation_config
    eos = {*_ids(generation.eos_token_id), *_ids(tokenizer.eos_token_id)}
    values = {name: getattr(generation, name, None) for name in _DEFAULTS_OF_THE_MODEL}
    return LoadedBase(
        model=model,
        tokenizer=tokenizer,
        layers=require_plain_attention(config),
        dtype=dtype,
        context_length=_context_length(config.max_position_embeddings, context_length),
        vocabulary=config.vocab_size,
        pad=next(iter([*_ids(tokenizer.pad_token_id), *sorted(eos)]), 0),
        eos_ids=frozenset(eos),
        defaults={name: value for name, value in values.items() if value is not None},
    )


def _ids(value: int | list[int] | None) -> list[int]:
    if value is None:
        return []
    return [value] if isinstance(value, int) else list(value)


def _context_length(longest: int, wanted: int | None) -> int:
    if wanted is not None and not 1 < wanted <= longest:
        raise Refused(
            f"the context length is {wanted}, but the base was made for 2 to {longest} tokens",
            fix=f"Set contextLength to at most {longest}, or leave it out.",
            where="--context-length",
        )
    return wanted or longest
