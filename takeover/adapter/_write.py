"""Writing an artifact: only the allow-list, canonical, and whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

from takeover.adapter._card import model_card
from takeover.adapter._config import CONFIG, WEIGHTS, LoraConfig, canonical_config, parse_config, weight_mistakes
from takeover.adapter._json import parse_object, render
from takeover.adapter._manifest import MANIFEST, Manifest, ManifestFacts, render_manifest
from takeover.adapter._open import Adapter, open_adapter
from takeover.adapter._payload import README, REPORT, hashes_of, report_files, report_mistakes
from takeover.errors import Refusals, Refused
from takeover.folders import digest_text, new_folder, sha256_of_text
from takeover.safetensors_header import read_header

__all__ = ["write_adapter"]


def write_adapter(
    *, weights: Path, config: Path, out: Path, facts: ManifestFacts, report: Path | None = None
) -> Adapter:
    """Publish what a trainer wrote as the artifact `out`, which must not exist.

    `weights` is PEFT's adapter_model.safetensors, `config` its adapter_config.json, which is rewritten canonically with
    base and revision from `facts`; `report` is a folder of plots and pages that is copied. Built beside `out` and
    renamed: killed at any moment, `out` is absent or whole. Refused when `out` exists, the disk is full, or something
    given is no plain LoRA adapter's.
    """
    raw = canonical_config(parse_object(_bytes_of(config), str(config)), facts.base, facts.base_revision)
    settings = parse_config(raw, str(config))
    _require_sound(weights, settings, report)
    with new_folder(out) as building:
        (building / CONFIG).write_text(render(raw), encoding="utf-8")
        shutil.copyfile(weights, building / WEIGHTS)
        if report is not None:
            shutil.copytree(report, building / REPORT)
        manifest = _complete(facts, settings, hashes_of(building, (CONFIG, WEIGHTS)))
        card = model_card(manifest, report_files(building))
        (building / README).write_text(card, encoding="utf-8")
        (building / MANIFEST).write_text(render_manifest(manifest), encoding="utf-8")
        open_adapter(building)
    return Adapter(out.absolute(), manifest)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Refused(f"it cannot be read: {error.strerror}", where=str(path)) from error


def _require_sound(weights: Path, config: LoraConfig, report: Path | None) -> None:
    if not weights.is_file():
        raise Refused("there is no such file", why="It should hold the trained weights.", where=str(weights))
    mistakes = list(weight_mistakes(read_header(weights), config, str(weights)))
    if report is not None:
        mistakes += report_mistakes(report)
    Refusals.raise_if_any("the adapter was not written", mistakes)


def _complete(facts: ManifestFacts, config: LoraConfig, hashes: dict[str, str]) -> Manifest:
    return Manifest(
        **{name: getattr(facts, name) for name in ManifestFacts.model_fields},
        digest=sha256_of_text(digest_text(hashes)),
        files=hashes,
        rank=config.rank,
        alpha=config.alpha,
        target_modules=config.target_modules,
    )
