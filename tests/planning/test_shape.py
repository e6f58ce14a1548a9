"""A base's shape from its config.json."""

from __future__ import annotations

from typing import Any

import pytest

from takeover.bases._known_shapes import known_config
from takeover.errors import Refused
from takeover.planning.shape import Quantization, shape_of

# As transformers 5.24 counts them in a model made from the same config (2026-11-25), and as the Hub shows them.
PARAMETERS = {
    "meta-llama/Llama-3.2-1B-Instruct": 1_235_814_400,
    "meta-llama/Llama-3.2-3B": 3_212_749_824,
    "meta-llama/Meta-Llama-3-8B-Instruct": 8_030_261_248,
    "meta-llama/Llama-3.1-8B-Instruct": 8_030_261_248,
    "meta-llama/Llama-3.3-70B-Instruct": 70_553_706_496,
    "Qwen/Qwen2.5-0.5B-Instruct": 494_032_768,
    "Qwen/Qwen2.5-1.5B": 1_543_714_304,
    "Qwen/Qwen2.5-3B": 3_085_938_688,
    "Qwen/Qwen2.5-7B-Instruct": 7_615_616_512,
    "Qwen/Qwen2.5-14B": 14_770_033_664,
    "Qwen/Qwen2.5-32B": 32_763_876_352,
    "Qwen/Qwen2.5-72B": 72_706_203_648,
    "Qwen/Qwen3-0.6B": 596_049_920,
    "Qwen/Qwen3-1.7B-Base": 1_720_574_976,
    "Qwen/Qwen3-4B": 4_022_468_096,
    "Qwen/Qwen3-8B": 8_190_735_360,
    "Qwen/Qwen3-14B": 14_768_307_200,
    "Qwen/Qwen3-32B": 32_762_123_264,
    "Qwen/Qwen3-30B-A3B": 30_532_122_624,
    "mistralai/Mistral-7B-Instruct-v0.3": 7_248_023_552,
    "mistralai/Mistral-Nemo-Instruct-2407": 12_247_782_400,
    "mistralai/Mistral-Small-24B-Instruct-2501": 23_572_403_200,
    "google/gemma-2-2b-it": 2_614_341_888,
    "google/gemma-2-9b": 9_241_705_984,
    "google/gemma-2-27b": 27_227_128_320,
    "google/gemma-3-1b-it": 999_885_952,
    "HuggingFaceTB/SmolLM2-135M-Instruct": 134_515_008,
}
SMALL: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "vocab_size": 100,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_parameters_of_well_known_bases_are_exact(name: str) -> None:
    config = known_config(name)
    assert config is not None
    assert shape_of(config).parameters == PARAMETERS[name]


def test_a_base_that_nobody_wrote_down_is_not_known() -> None:
    assert known_config("org/another") is None


def test_of_a_mixture_of_experts_a_token_passes_the_chosen_ones() -> None:
    config = known_config("Qwen/Qwen3-30B-A3B")
    assert config is not None
    assert shape_of(config).active_parameters == 30_532_122_624 - 48 * 120 * 3 * 2048 * 768


@pytest.mark.parametrize(
    ("found", "quantization"),
    [
        pytest.param(None, None, id="none"),
        pytest.param({"quant_method": "awq", "bits": 4, "group_size": 128}, Quantization("awq", 4, 128), id="awq"),
        pytest.param({"quant_method": "gptq", "bits": 8, "group_size": -1}, Quantization("gptq", 8, 0), id="no groups"),
        pytest.param({"quant_method": "fp8"}, Quantization("fp8", 8), id="fp8"),
        pytest.param({"quant_method": "mxfp4"}, Quantization("mxfp4", 4, 32), id="mxfp4"),
        pytest.param(
            {"quant_method": "bitsandbytes", "load_in_4bit": True}, Quantization("bitsandbytes", 4, 64), id="4-bit"
        ),
        pytest.param(
            {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 4}}}},
            Quantization("compressed-tensors", 4),
            id="compressed-tensors",
        ),
    ],
)
def test_quantization_is_read(found: dict[str, Any] | None, quantization: Quantization | None) -> None:
    assert shape_of({**SMALL, "quantization_config": found}).quantization == quantization


def test_the_language_part_of_a_multimodal_config_is_read() -> None:
    shape = shape_of({"model_type": "llava", "text_config": SMALL, "vision_config": {"hidden_size": 1024}})
    assert (shape.hidden, shape.layers, shape.head_size) == (64, 2, 16)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        pytest.param({"hidden_size": None}, "the base's config.json gives no usable hidden_size: None", id="missing"),
        pytest.param({"vocab_size": "many"}, "the base's config.json gives no usable vocab_size: 'many'", id="a word"),
        pytest.param(
            {"num_hidden_layers": True}, "the base's config.json gives no usable num_hidden_layers: True", id="a"
        ),
        pytest.param(
            {"num_attention_heads": 0}, "the base's config.json gives no usable num_attention_heads: 0", id="none"
        ),
        pytest.param(
            {"kv_lora_rank": 512},
            "the memory of X cannot be reckoned: it has multi-head latent attention",
            id="another cache",
        ),
        pytest.param(
            {"layer_types": ["linear_attention", "full_attention"], "is_encoder_decoder": True},
            "the memory of X cannot be reckoned: it has layers of a further kind and an encoder",
            id="other layers",
        ),
        pytest.param({"text_config": 3}, "the base's config.json is damaged: text_config is no object", id="damaged"),
        pytest.param(
            {"quantization_config": {"quant_method": "new"}},
            "the base's config.json names the quantization 'new' without its bits",
            id="an unknown quantization",
        ),
        pytest.param(
            {"quantization_config": {"quant_method": "compressed-tensors", "config_groups": {}}},
            "the base's config.json describes compressed-tensors without the bits of its weights",
            id="no bits",
        ),
    ],
)
def test_what_has_no_formula_is_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused) as caught:
        shape_of({**SMALL, **more}, name="X")
    assert caught.value.happened == said
