"""The adapter artifact: PEFT's two files and a manifest, named by the SHA-256 of their content, verified on opening.

    adapter_config.json          PEFT's settings, rewritten canonically          payload
    adapter_model.safetensors    the LoRA matrices                               payload
    manifest.json                what it is; noticed when changed, by a checksum of itself
    README.md                    a model card
    report/                      curves, answers, data report; report/model.sig is a signature, if there is one

No torch, no network. How to recompute the digest by hand stands in `takeover.adapter._payload`.
"""

from __future__ import annotations

from takeover.adapter._diff import AdapterDiff, diff_adapters
from takeover.adapter._manifest import Manifest, ManifestFacts
from takeover.adapter._open import Adapter, open_adapter
from takeover.adapter._payload import digest_of, payload_files
from takeover.adapter._write import write_adapter

__all__ = [
    "Adapter",
    "AdapterDiff",
    "Manifest",
    "ManifestFacts",
    "diff_adapters",
    "digest_of",
    "open_adapter",
    "payload_files",
    "write_adapter",
]
