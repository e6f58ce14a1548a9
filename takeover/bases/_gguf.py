"""Convert one GGUF file to what `save_pretrained` writes: `python -m takeover.bases._gguf FILE OUT SAMPLING`.

A process of its own, so that whoever asks for a base loads no torch, keeps its memory, and sees no library's bars.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["convert"]


def convert(gguf: Path, into: Path, sampling: Mapping[str, float]) -> None:
    """Write the model (fp32 safetensors) and the tokenizer, with its chat template, into an existing folder.

    `sampling` (temperature, top_p) becomes the model's own default for those who ask without saying.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source: dict[str, Any] = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    AutoTokenizer.from_pretrained(**source).save_pretrained(into)
    loaded = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    # A model that was loaded from GGUF refuses to be saved; a fresh one of the same config does not.
    facts = loaded.config.to_dict()
    facts.pop("quantization_config", None)
    fresh = AutoModelForCausalLM.from_config(type(loaded.config).from_dict(facts), dtype=torch.float32)
    fresh.load_state_dict(loaded.state_dict())
    fresh.generation_config = loaded.generation_config
    fresh.generation_config.update(do_sample=True, **sampling)
    fresh.save_pretrained(into)
    (into / "model.safetensors").chmod(0o644)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
