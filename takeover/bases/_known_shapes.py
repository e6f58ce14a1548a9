"""The config.json of well-known bases, as far as memory depends on it, for when the Hub is out of reach or gated.

Source: each model's config.json on huggingface.co, as known 2026-11. The numbers of parameters that follow from them
are those that the Hub shows for the safetensors files (tests/planning/test_shape.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["known_config"]

# Hidden, layers, heads, key-value heads, intermediate, vocabulary, longest context; what differs, in words of the file.
_Row = tuple[int, int, int, int, int, int, int]
_LLAMA: Mapping[str, Any] = MappingProxyType({"model_type": "llama"})
_TIED_LLAMA: Mapping[str, Any] = MappingProxyType({"model_type": "llama", "tie_word_embeddings": True})
_QWEN2: Mapping[str, Any] = MappingProxyType({"model_type": "qwen2"})
_TIED_QWEN2: Mapping[str, Any] = MappingProxyType({"model_type": "qwen2", "tie_word_embeddings": True})
_QWEN3: Mapping[str, Any] = MappingProxyType({"model_type": "qwen3", "head_dim": 128})
_TIED_QWEN3: Mapping[str, Any] = MappingProxyType({"model_type": "qwen3", "head_dim": 128, "tie_word_embeddings": True})
_MISTRAL: Mapping[str, Any] = MappingProxyType({"model_type": "mistral", "head_dim": 128})
_GEMMA2: Mapping[str, Any] = MappingProxyType({"model_type": "gemma2", "sliding_window": 4096, "head_dim": 256})
_GEMMA3: Mapping[str, Any] = MappingProxyType({"model_type": "gemma3_text", "sliding_window": 1024, "head_dim": 256})

_ROWS: Mapping[str, tuple[_Row, Mapping[str, Any]]] = MappingProxyType(
    {
        "meta-llama/Llama-3.2-1B": ((2048, 16, 32, 8, 8192, 128256, 131072), {**_TIED_LLAMA, "head_dim": 64}),
        "meta-llama/Llama-3.2-3B": ((3072, 28, 24, 8, 8192, 128256, 131072), {**_TIED_LLAMA, "head_dim": 128}),
        "meta-llama/Meta-Llama-3-8B": ((4096, 32, 32, 8, 14336, 128256, 8192), _LLAMA),
        "meta-llama/Llama-3.1-8B": ((4096, 32, 32, 8, 14336, 128256, 131072), _LLAMA),
        "meta-llama/Llama-3.1-70B": ((8192, 80, 64, 8, 28672, 128256, 131072), _LLAMA),
        "meta-llama/Llama-3.3-70B": ((8192, 80, 64, 8, 28672, 128256, 131072), _LLAMA),
        "Qwen/Qwen2-7B": ((3584, 28, 28, 4, 18944, 152064, 131072), _QWEN2),
        "Qwen/Qwen2.5-0.5B": ((896, 24, 14, 2, 4864, 151936, 32768), _TIED_QWEN2),
        "Qwen/Qwen2.5-1.5B": ((1536, 28, 12, 2, 8960, 151936, 32768), _TIED_QWEN2),
        "Qwen/Qwen2.5-3B": ((2048, 36, 16, 2, 11008, 151936, 32768), _TIED_QWEN2),
        "Qwen/Qwen2.5-7B": ((3584, 28, 28, 4, 18944, 152064, 32768), _QWEN2),
        "Qwen/Qwen2.5-14B": ((5120, 48, 40, 8, 13824, 152064, 32768), _QWEN2),
        "Qwen/Qwen2.5-32B": ((5120, 64, 40, 8, 27648, 152064, 32768), _QWEN2),
        "Qwen/Qwen2.5-72B": ((8192, 80, 64, 8, 29568, 152064, 32768), _QWEN2),
        "Qwen/Qwen3-0.6B": ((1024, 28, 16, 8, 3072, 151936, 40960), _TIED_QWEN3),
        "Qwen/Qwen3-1.7B": ((2048, 28, 16, 8, 6144, 151936, 40960), _TIED_QWEN3),
        "Qwen/Qwen3-4B": ((2560, 36, 32, 8, 9728, 151936, 40960), _TIED_QWEN3),
        "Qwen/Qwen3-8B": ((4096, 36, 32, 8, 12288, 151936, 40960), _QWEN3),
        "Qwen/Qwen3-14B": ((5120, 40, 40, 8, 17408, 151936, 40960), _QWEN3),
        "Qwen/Qwen3-32B": ((5120, 64, 64, 8, 25600, 151936, 40960), _QWEN3),
        "Qwen/Qwen3-30B-A3B": (
            (2048, 48, 32, 4, 6144, 151936, 40960),
            {
                "model_type": "qwen3_moe",
                "head_dim": 128,
                "num_experts": 128,
                "num_experts_per_tok": 8,
                "moe_intermediate_size": 768,
            },
        ),
        "mistralai/Mistral-7B-v0.3": ((4096, 32, 32, 8, 14336, 32768, 32768), _MISTRAL),
        "mistralai/Mistral-Nemo-2407": ((5120, 40, 32, 8, 14336, 131072, 131072), _MISTRAL),
        "mistralai/Mistral-Small-24B-2501": ((5120, 40, 32, 8, 32768, 131072, 32768), _MISTRAL),
        "google/gemma-2-2b": ((2304, 26, 8, 4, 9216, 256000, 8192), _GEMMA2),
        "google/gemma-2-9b": ((3584, 42, 16, 8, 14336, 256000, 8192), _GEMMA2),
        "google/gemma-2-27b": ((4608, 46, 32, 16, 36864, 256000, 8192), {**_GEMMA2, "head_dim": 128}),
        "HuggingFaceTB/SmolLM2-135M": ((576, 30, 9, 3, 1536, 49152, 8192), _TIED_LLAMA),
        "HuggingFaceTB/SmolLM2-360M": ((960, 32, 15, 5, 2560, 49152, 8192), _TIED_LLAMA),
        "HuggingFaceTB/SmolLM2-1.7B": ((2048, 24, 32, 32, 8192, 49152, 8192), _TIED_LLAMA),
        "google/gemma-3-1b": ((1152, 26, 4, 1, 6912, 262144, 32768), {**_GEMMA3, "sliding_window": 512}),
    }
)
# What tuning adds to a name without changing the shape.
_TUNED = ("-Instruct", "-Base", "-it", "-pt")


def known_config(name: str) -> dict[str, Any] | None:
    """The config of the Hub's model `org/name`, or None when it is not one of these."""
    found = _ROWS.get(name)
    for word in _TUNED:
        found = found or _ROWS.get(name.replace(word, "", 1))
    if found is None:
        return None
    hidden, layers, heads, kv_heads, intermediate, vocab, context = found[0]
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": intermediate,
        "vocab_size": vocab,
        "max_position_embeddings": context,
        "torch_dtype": "bfloat16",
        **found[1],
    }
