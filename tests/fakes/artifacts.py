"""Adapters for tests, made without torch: LoRA matrices that fit the base `tiny`, in a whole artifact."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

from takeover.adapter import Adapter, ManifestFacts, write_adapter

# The revision of `tiny`, which is the same on every machine (tests/bases/test_tiny.py).
TINY_REVISION = "sha256:be0a5d2fce30b9f6466a6551485d0e926decdccf4dac30523a264195b1b8272d"
_WIDTHS = {"q_proj": (128, 128), "k_proj": (128, 64), "v_proj": (128, 64), "o_proj": (128, 128)}


def lora_shapes(rank: int, modules: tuple[str, ...], layers: int = 2) -> dict[str, tuple[int, int]]:
    """Tensor name -> shape, as PEFT names and shapes them for `tiny`."""
    shapes = {}
    for layer in range(layers):
        for module in modules:
            start = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            wide, out = _WIDTHS[module]
            shapes[f"{start}.lora_A.weight"] = (rank, wide)
            shapes[f"{start}.lora_B.weight"] = (out, rank)
    return shapes


def safetensors_bytes(shapes: dict[str, tuple[int, ...]], seed: int = 0, dtype: str = "F32") -> bytes:
    """A sound safetensors file of small random floats."""
    stream, header, body = random.Random(seed), {}, b""
    for name, shape in shapes.items():
        count = 1
        for side in shape:
            count *= side
        begin = len(body)
        body += struct.pack(f"<{count}f", *(stream.uniform(-0.05, 0.05) for _ in range(count)))
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, len(body)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def lora_config(rank: int, modules: tuple[str, ...], **other: Any) -> dict[str, Any]:
    """What PEFT writes, the modules in whatever order its set has."""
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "whatever/the-trainer-left",
        "revision": None,
        "r": rank,
        "lora_alpha": 2 * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": False,
        "target_modules": list(modules),
        "modules_to_save": None,
        "rank_pattern": {},
        "alpha_pattern": {},
        "use_dora": False,
        "use_rslora": False,
        **other,
    }


def facts(**changes: Any) -> ManifestFacts:
    """What a trainer knows, with `changes`."""
    given = {
        "name": "support-tone",
        "base": "tiny",
        "base_revision": TINY_REVISION,
        "method": "dpo",
        "data_digest": "sha256:" + "d" * 64,
        "evaluation": {"rewardAccuracy": 0.75},
        "versions": {"peft": "0.21.0"},
        "seed": 7,
        "created": "2026-11-24T12:00:00Z",
        "licence": "Apache-2.0",
        "training": {"steps": 20},
    }
    return ManifestFacts(**{**given, **changes})


def make_adapter(
    out: Path,
    *,
    rank: int = 4,
    modules: tuple[str, ...] = ("v_proj", "q_proj"),
    seed: int = 0,
    report: Path | None = None,
    **changes: Any,
) -> Adapter:
    """Write a whole artifact at `out`; another `seed` gives other weights, so another digest."""
    trainer = out.parent / f"{out.name}-trainer"
    trainer.mkdir(parents=True)
    (trainer / "adapter_model.safetensors").write_bytes(safetensors_bytes(lora_shapes(rank, modules), seed))
    (trainer / "adapter_config.json").write_text(json.dumps(lora_config(rank, modules)))
    return write_adapter(
        weights=trainer / "adapter_model.safetensors",
        config=trainer / "adapter_config.json",
        out=out,
        facts=facts(**changes),
        report=report,
    )
