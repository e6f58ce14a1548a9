"""The base `tiny`: a Llama of 362 112 parameters that the project makes itself, with a byte-level tokenizer.

Made without torch from a fixed stream of `random.Random`, whose numbers Python guarantees to stay the same, so its
bytes are the same on every machine and with every version of the libraries. It knows nothing: its answers are noise,
but every line of code runs as with a real base. Head size 32 is the least that vLLM takes.
"""

from __future__ import annotations

import json
import random
import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["RECIPE", "tiny_config", "write_tiny"]

RECIPE = "1"  # part of the cache's key: change it with anything below

_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>")
_VOCABULARY = len(_SPECIAL) + 256
_HIDDEN, _INTERMEDIATE, _HEADS, _KV_HEADS, _LAYERS, _CONTEXT = 128, 256, 4, 2, 2, 2048
_HEAD = _HIDDEN // _HEADS
_SPREAD = 0.02 * 3**0.5  # half the width of a uniform distribution with Llama's standard deviation

_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def write_tiny(folder: Path) -> None:
    """Write weights, config and tokenizer into an existing folder; always the same bytes."""
    texts = {
        "config.json": tiny_config(),
        "generation_config.json": {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3},
        "tokenizer.json": _tokenizer(),
        "tokenizer_config.json": _tokenizer_config(),
    }
    for name, value in texts.items():
        (folder / name).write_text(json.dumps(value, sort_keys=True, indent=2) + "\n", encoding="utf-8")
    _write_weights(folder / "model.safetensors")


def tiny_config() -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": _VOCABULARY,
        "hidden_size": _HIDDEN,
        "intermediate_size": _INTERMEDIATE,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _KV_HEADS,
        "head_dim": _HEAD,
        "hidden_act": "silu",
        "max_position_embeddings": _CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 3,
        "torch_dtype": "float32",
    }


def _shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "model.embed_tokens.weight", (_VOCABULARY, _HIDDEN)
    for layer in range(_LAYERS):
        start = f"model.layers.{layer}"
        yield f"{start}.input_layernorm.weight", (_HIDDEN,)
        yield f"{start}.self_attn.q_proj.weight", (_HEADS * _HEAD, _HIDDEN)
        yield f"{start}.self_attn.k_proj.weight", (_KV_HEADS * _HEAD, _HIDDEN)
        yield f"{start}.self_attn.v_proj.weight", (_KV_HEADS * _HEAD, _HIDDEN)
        yield f"{start}.self_attn.o_proj.weight", (_HIDDEN, _HEADS * _HEAD)
        yield f"{start}.post_attention_layernorm.weight", (_HIDDEN,)
        yield f"{start}.mlp.gate_proj.weight", (_INTERMEDIATE, _HIDDEN)
        yield f"{start}.mlp.up_proj.weight", (_INTERMEDIATE, _HIDDEN)
        yield f"{start}.mlp.down_proj.weight", (_HIDDEN, _INTERMEDIATE)
    yield "model.norm.weight", (_HIDDEN,)
    yield "lm_head.weight", (_VOCABULARY, _HIDDEN)


def _write_weights(path: Path) -> None:
    stream = random.Random("takeover tiny 1")
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = bytearray()
    for name, shape in _shapes():
        count = shape[0] * (shape[1] if len(shape) == 2 else 1)
        norm = len(shape) == 1
        values = array("f", [1.0] * count if norm else [(2 * stream.random() - 1) * _SPREAD for _ in range(count)])
        begin = len(body)
        body += struct.pack(f"<{count}f", *values)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, len(body)]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def _byte_letters() -> list[str]:
    """GPT-2's letter for each byte: printable ones stand for themselves, the others are moved up to U+0100 and on."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = [byte for byte in range(256) if byte not in plain]
    letters = {byte: chr(byte) for byte in plain} | {byte: chr(256 + place) for place, byte in enumerate(moved)}
    return [letters[byte] for byte in range(256)]


def _tokenizer() -> dict[str, Any]:
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    letters = {letter: len(_SPECIAL) + byte for byte, letter in enumerate(_byte_letters())}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": place, "content": token, **_ADDED} for place, token in enumerate(_SPECIAL)],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: place for place, token in enumerate(_SPECIAL)} | letters,
            "merges": [],
        },
    }


_ADDED = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}


def _tokenizer_config() -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": _CONTEXT,
        "clean_up_tokenization_spaces": False,
        "unk_token": "<|endoftext|>",
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|pad|>",
        "chat_template": _CHAT_TEMPLATE,
    }
