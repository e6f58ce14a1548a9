"""What a base is made of, read from its config.json: layers, heads, sizes, and from them its number of parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from takeover.errors import Refused

__all__ = ["BaseShape", "Quantization", "shape_of"]

# Model types whose class in vLLM takes LoRA on the embedding and the output head too (`embedding_modules` in
# vllm 0.32.0, model_executor/models/*.py): their slots are larger.
_EMBEDDING_LORA = {"llama", "qwen3", "qwen3_moe", "mixtral", "granite", "exaone", "exaone4", "nemotron", "solar"}
_BYTES_OF_DTYPE = {"float32": 4, "float16": 2, "bfloat16": 2}
# Methods whose name says the bits of a weight and the size of a group.
_KNOWN_BITS = {"fp8": (8, 0), "mxfp4": (4, 32)}
# Keys that say that the cache or the layers are of another kind than those reckoned here.
_OTHER_KINDS = {
    "kv_lora_rank": "multi-head latent attention",
    "mamba_d_state": "Mamba layers",
    "ssm_state_size": "state-space layers",
    "linear_num_key_heads": "linear attention",
    "num_encoder_layers": "an encoder",
}


@dataclass(frozen=True)
class Quantization:
    """How the linear layers are stored: `bits` a weight, one scale for each `group_size` weights (0: one a row)."""

    method: str
    bits: int
    group_size: int = 0


@dataclass(frozen=True)
class BaseShape:
    """A decoder-only base. Sizes in elements; `dtype_bytes` is what a weight and a cached value take when served.

    `parameters` are all of them, embeddings included. `stored_bytes` is the size of the weights as published, where
    somebody read it (0: reckoned from the shape). `experts` is 0 unless the layers are mixtures of experts; then
    `intermediate` is one expert's. Of `layers`, `sliding_layers` look back over `window` tokens only.
    """

    name: str
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_size: int
    vocab: int
    tied_embeddings: bool
    dtype_bytes: int
    parameters: int
    quantization: Quantization | None = None
    stored_bytes: int = 0
    experts: int = 0
    experts_per_token: int = 0
    shared_intermediate: int = 0
    sliding_layers: int = 0
    window: int = 0
    longest_context: int = 0
    embedding_lora: bool = False

    @property
    def embedding_parameters(self) -> int:
        """Of the table of tokens, and of the output head where that is one of its own."""
        return self.vocab * self.hidden * (1 if self.tied_embeddings else 2)

    @property
    def active_parameters(self) -> int:
        """Parameters that one token passes through: all but the experts that it does not choose."""
        idle = max(self.experts - self.experts_per_token, 0)
        return self.parameters - self.layers * idle * 3 * self.hidden * self.intermediate


def shape_of(config: Mapping[str, Any], *, name: str = "") -> BaseShape:
    """The shape that a Hugging Face config.json describes (of a multimodal model: its language part).

    Refused when a size is missing or no number, or when the model is of a kind that these formulas do not fit.
    """
    text = config.get("text_config", config)
    if not isinstance(text, Mapping):
        raise Refused("the base's config.json is damaged: text_config is no object")
    _require_known_kind(text, name)
    hidden, heads = _size(text, "hidden_size"), _size(text, "num_attention_heads")
    head_size = _size(text, "head_dim", hidden // heads)
    sliding, window = _sliding(text)
    experts = _size(text, "num_local_experts", _size(text, "num_experts", 0))
    shape = BaseShape(
        name=name or str(config.get("_name_or_path") or text.get("model_type") or "base"),
        layers=_size(text, "num_hidden_layers"),
        hidden=hidden,
        intermediate=_expert_size(text) if experts else _size(text, "intermediate_size"),
        heads=heads,
        kv_heads=_size(text, "num_key_value_heads", heads),
        head_size=head_size,
        vocab=_size(text, "vocab_size"),
        tied_embeddings=_tied(config, text),
        dtype_bytes=_served_bytes(config, text),
        parameters=0,
        quantization=_quantization(config, text),
        experts=experts,
        experts_per_token=_size(text, "num_experts_per_tok", 0),
        shared_intermediate=_size(text, "shared_expert_intermediate_size", 0),
        sliding_layers=sliding,
        window=window,
        longest_context=_size(text, "max_position_embeddings", 0),
        embedding_lora=text.get("model_type") in _EMBEDDING_LORA,
    )
    return _with_parameters(shape, text)


def _with_parameters(shape: BaseShape, text: Mapping[str, Any]) -> BaseShape:
    queries, pairs = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    attention = shape.hidden * (2 * queries + 2 * pairs)
    if text.get("attention_bias") or text.get("model_type") in {"qwen2", "qwen2_moe"}:
        attention += queries + 2 * pairs
    dense = 3 * shape.hidden * (shape.intermediate * max(shape.experts, 1) + shape.shared_intermediate)
    kind = str(text.get("model_type"))
    norms = shape.hidden * (4 if kind.startswith(("gemma2", "gemma3")) else 2)
    if kind.startswith(("qwen3", "gemma3")):  # these norm each head's queries and keys
        norms += 2 * shape.head_size
    layer = attention + dense + shape.hidden * shape.experts + norms
    return replace(shape, parameters=shape.layers * layer + shape.embedding_parameters + shape.hidden)


def _require_known_kind(text: Mapping[str, Any], name: str) -> None:
    found = [words for key, words in _OTHER_KINDS.items() if text.get(key)]
    kinds = text.get("layer_types")
    if isinstance(kinds, list) and not set(kinds) <= {"full_attention", "sliding_attention"}:
        found.append("layers of a further kind")
    if text.get("is_encoder_decoder"):
        found.append("an encoder")
    if found:
        raise Refused(
            f"the memory of {name or 'this base'} cannot be reckoned: it has {' and '.join(dict.fromkeys(found))}",
            why="The formulas here are those of decoder-only models with grouped-query attention.",
            fix="Try it on one GPU: vLLM prints what its cache holds when it starts (GPU KV cache size).",
        )


def _size(config: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = config.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 0 or (value == 0 and default is None):
        raise Refused(f"the base's config.json gives no usable {key}: {value!r}")
    return value


def _expert_size(text: Mapping[str, Any]) -> int:
    return _size(text, "moe_intermediate_size", _size(text, "intermediate_size"))


def _tied(config: Mapping[str, Any], text: Mapping[str, Any]) -> bool:
    # transformers' own defaults: only Gemma's classes tie where the file does not say.
    default = str(text.get("model_type")).startswith("gemma")
    return bool(text.get("tie_word_embeddings", config.get("tie_word_embeddings", default)))


def _served_bytes(config: Mapping[str, Any], text: Mapping[str, Any]) -> int:
    """vLLM serves what is stored as float32 in 16 bits (`--dtype auto`)."""
    named = text.get("dtype") or text.get("torch_dtype") or config.get("dtype") or config.get("torch_dtype")
    return min(_BYTES_OF_DTYPE.get(str(named), 2), 2)


def _sliding(text: Mapping[str, Any]) -> tuple[int, int]:
    """How many layers slide and over how many tokens; 0 where all do, which vLLM keeps as one plain cache."""
    window = text.get("sliding_window")
    if not isinstance(window, int) or text.get("use_sliding_window") is False:
        return 0, 0
    layers = _size(text, "num_hidden_layers")
    kinds, pattern = text.get("layer_types"), text.get("sliding_window_pattern")
    if isinstance(kinds, list):
        count = kinds.count("sliding_attention")
    elif isinstance(pattern, int) and pattern > 0:
        count = layers - layers // pattern
    elif text.get("model_type") in {"gemma2", "gemma3_text"}:
        count = layers - layers // (2 if text["model_type"] == "gemma2" else 6)
    else:
        return 0, 0
    return (count, window) if 0 < count < layers else (0, 0)


def _quantization(config: Mapping[str, Any], text: Mapping[str, Any]) -> Quantization | None:
    found = config.get("quantization_config") or text.get("quantization_config")
    if not isinstance(found, Mapping):
        return None
    method = str(found.get("quant_method", "unknown"))
    if method == "compressed-tensors":
        return _compressed_tensors(found)
    if method in _KNOWN_BITS:
        return Quantization(method, *_KNOWN_BITS[method])
    if method == "bitsandbytes":
        return Quantization(method, 4 if found.get("load_in_4bit") else 8, 64)
    bits = found.get("bits") or found.get("w_bit")
    if not isinstance(bits, int):
        raise Refused(
            f"the base's config.json names the quantization {method!r} without its bits",
            fix="Choose a base that is stored as awq, gptq, fp8, bitsandbytes or compressed-tensors.",
        )
    group = found.get("group_size") or found.get("q_group_size") or 0
    return Quantization(method, bits, max(int(group), 0))


def _compressed_tensors(found: Mapping[str, Any]) -> Quantization:
    groups = found.get("config_groups")
    first: object = next(iter(groups.values()), None) if isinstance(groups, Mapping) else None
    weights = first.get("weights") if isinstance(first, Mapping) else None
    if not isinstance(weights, Mapping) or not isinstance(weights.get("num_bits"), int):
        raise Refused("the base's config.json describes compressed-tensors without the bits of its weights")
    return Quantization("compressed-tensors", int(weights["num_bits"]), int(weights.get("group_size") or 0))
