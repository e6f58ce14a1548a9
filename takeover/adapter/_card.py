"""The model card, README.md: for people, and for the Hugging Face Hub, which reads the block of YAML at its top.

What the Hub takes there: huggingface/hub-docs @242f4a1 (2026-08-22), modelcard.md and
docs/hub/repositories-licenses.md; the same licences stand in its published API description (`/api/repos/create`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from takeover.adapter._config import CONFIG, WEIGHTS
from takeover.adapter._manifest import Manifest
from takeover.bases import parse_base

__all__ = ["LICENCES", "LICENCE_NAME", "card_metadata", "model_card"]

_LICENCES = """
    afl-3.0 agpl-3.0 apache-2.0 apple-amlr apple-ascl artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0
    bigscience-openrail-m bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5
    cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
    cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0
    cdla-permissive-2.0 cdla-sharing-1.0 creativeml-openrail-m deepfloyd-if-license ecl-2.0 epl-1.0 epl-2.0
    etalab-2.0 eupl-1.1 eupl-1.2 fair-noncommercial-research-license gemma gfdl gpl gpl-2.0 gpl-3.0
    grok2-community h-research intel-research isc lgpl lgpl-2.1 lgpl-3.0 lgpl-lr llama2 llama3 llama3.1
    llama3.2 llama3.3 llama4 lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openmdw-1.0 openmdw-1.1
    openrail openrail++ osl-3.0 other pddl postgresql unknown unlicense wtfpl zlib
"""
LICENCES = frozenset(_LICENCES.split())
LICENCE_NAME = re.compile(r"[a-z0-9-.]+")
_YAML_WORDS = {"false", "n", "no", "null", "off", "on", "true", "y", "yes"}
_PLAIN_NAME = re.compile(r"[\w./-]+", re.ASCII)
_PICTURES = {".png", ".svg"}
_PAGES = {".md", ".json", ".jsonl", ".csv", ".txt", ".yaml"}


def card_metadata(manifest: Manifest) -> dict[str, object]:
    """What the Hub is told. `base_model` must be a model of the Hub, so another kind of base is not named there."""
    ref = parse_base(manifest.base)
    base = {"base_model": ref.name, "base_model_relation": "adapter"} if ref.kind == "hub" else {}
    return {
        **base,
        "library_name": "peft",
        **_licence(manifest.licence),
        "pipeline_tag": "text-generation",
        "tags": ["lora", *manifest.method.split("+"), "takeover"],
    }


def _licence(text: str) -> dict[str, str]:
    """An SPDX name as the Hub writes it, else `other` with a name."""
    if text.lower() in LICENCES:
        return {"license": text.lower()}
    name = re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")
    return {"license": "other", **({"license_name": name} if name else {})}


def model_card(manifest: Manifest, report: Iterable[str] = (), address: str | None = None) -> str:
    """The card's text. Pure.

    `report` lists the files of report/ (`report/curves.png`), which the card shows or links; `address` is where the
    adapter is published, None for one that lies in a folder only.
    """
    parts = [_head(manifest), _facts(manifest), _figures(manifest.evaluation), _plots(sorted(report))]
    parts += [_serving(manifest, address), _limits(manifest)]
    return _metadata_block(manifest) + "\n" + "\n".join(part for part in parts if part)


def _metadata_block(manifest: Manifest) -> str:
    lines = []
    for key, value in card_metadata(manifest).items():
        if isinstance(value, list):
            lines += [f"{key}:", *(f"- {_scalar(each)}" for each in value)]
        else:
            lines.append(f"{key}: {_scalar(value)}")
    return "\n".join(["---", *lines, "---"]) + "\n"


def _scalar(value: object) -> str:
    """Bare where YAML reads it back as this very text; a JSON string is a YAML string too."""
    text = str(value)
    is_plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9/_.-]*", text) and text.lower() not in _YAML_WORDS
    return text if is_plain else json.dumps(text)


def _head(manifest: Manifest) -> str:
    how = {"dpo": "DPO on preference pairs", "sft": "supervised training", "dpo+sft": "DPO with a supervised term"}
    return (
        f"# {manifest.name}\n\nA LoRA adapter of rank {manifest.rank} (alpha {_number(manifest.alpha)}) for "
        f"{_code(manifest.base)}, made by {how[manifest.method]}.\n"
    )


def _facts(manifest: Manifest) -> str:
    rows = {
        "digest": f"`{manifest.digest}`",
        "base": _code(manifest.base),
        "revision of the base": f"`{manifest.base_revision}`",
        "digest of the data": f"`{manifest.data_digest}`",
        "target modules": ", ".join(_code(name) for name in manifest.target_modules),
        "seed": str(manifest.seed),
        "made": manifest.created,
        "made with": ", ".join(f"{name} {version}" for name, version in sorted(manifest.versions.items())) or "unknown",
        "licence": _cell(manifest.licence),
    }
    table = "".join(f"| {name} | {value} |\n" for name, value in rows.items())
    return f"## What it is\n\n| | |\n|---|---|\n{table}"


def _figures(evaluation: Mapping[str, float]) -> str:
    if not evaluation:
        return ""
    rows = "".join(f"| {_cell(name)} | {value:.4g} |\n" for name, value in sorted(evaluation.items()))
    return f"## Figures, on held-out pairs\n\n| figure | value |\n|---|---|\n{rows}"


def _plots(names: Iterable[str]) -> str:
    shown = list(_shown(names))
    return "## Report\n\n" + "".join(f"{line}\n" for line in shown) if shown else ""


def _shown(names: Iterable[str]) -> Iterator[str]:
    """A picture once, as the first of its formats; pages as links. A name that Markdown would read is left out."""
    seen: set[str] = set()
    for name in (name for name in names if _PLAIN_NAME.fullmatch(name)):
        path = PurePosixPath(name)
        title = path.stem.replace("-", " ").replace("_", " ")
        if path.suffix in _PICTURES and str(path.with_suffix("")) not in seen:
            seen.add(str(path.with_suffix("")))
            yield f"![{title}]({name})\n"
        elif path.suffix in _PAGES:
            yield f"- [{path.name}]({name})"


def _serving(manifest: Manifest, address: str | None) -> str:
    served = f"{manifest.name}@{manifest.digest.removeprefix('sha256:')[:12]}"
    folder = "." if address is None else "DIR"
    ours = f"takeover adapter use {address or 'DIR'} --stack staging && takeover up --stack staging"
    fetch = f"takeover pull {address} --out DIR\n" if address else ""
    ref = parse_base(manifest.base)
    base = f"{ref.name} --revision {ref.revision}" if ref.kind == "hub" else "BASE"
    return (
        f"## How to serve it\n\nBy takeover, which pins commit and digest:\n\n```sh\n{ours}\n```\n\n"
        f"By any engine that takes PEFT's format, vLLM for instance:\n\n```sh\n{fetch}"
        f"vllm serve {base} --enable-lora --max-lora-rank {manifest.rank} --lora-modules {served}={folder}\n```\n\n"
        f"Recompute the digest with `sha256sum {CONFIG} {WEIGHTS} | sha256sum`; `takeover adapter verify {folder}` "
        "checks everything.\n"
    )


def _limits(manifest: Manifest) -> str:
    ours = "The figures are of held-out pairs of the same data" if manifest.evaluation else "Nothing was measured"
    return (
        "## Limits\n\n"
        f"- It fits {_code(manifest.base)} at the revision above and no other: on another base it is noise.\n"
        f"- {ours}; how it answers other questions was not measured.\n"
        "- It has the faults of its data and those of the base: biases, and knowledge that ends where theirs ends.\n"
        "- The base's own licence holds for both together.\n"
    )


def _number(value: float) -> str:
    return f"{value:g}"


def _cell(text: str) -> str:
    """Text of others in a table's cell: on one line, and without what Markdown would read as markup."""
    return re.sub(r"([\\`*_<>|\[\]])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    return "`" + " ".join(text.split()).replace("`", "'").replace("|", "\\|") + "`"
