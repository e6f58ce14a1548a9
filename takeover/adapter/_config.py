"""PEFT's `adapter_config.json`: what may stand in it, the one way it is written, and the weights that belong to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from takeover.bases import parse_base
from takeover.errors import Refusals, Refused
from takeover.safetensors_header import Tensor

__all__ = ["CONFIG", "WEIGHTS", "LoraConfig", "canonical_config", "config_base", "parse_config", "weight_mistakes"]

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"

# One rank and one alpha for the whole adapter, on linear layers only: that is what every serving engine takes.
# Keys that PEFT (0.21, 2026-11) may write, the values that leave it so, and why no other value is published.
_PLAIN: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "alpha_pattern": ((None, {}), "one alpha holds for the whole adapter"),
    "bias": ((None, "none"), "engines serve no trained biases"),
    "init_lora_weights": (
        (None, True, False, "eva", "gaussian", "orthogonal"),
        "such a start changes the base's own weights, and the base is pinned",
    ),
    "lora_bias": ((None, False), "engines serve no trained biases"),
    "modules_to_save": ((None, []), "engines serve LoRA matrices only, no whole modules"),
    "rank_pattern": ((None, {}), "one rank holds for the whole adapter"),
    "target_parameters": ((None, []), "engines serve LoRA on linear layers only"),
    "trainable_token_indices": ((None, []), "engines serve no trained tokens"),
    "use_dora": ((None, False), "engines serve no DoRA"),
}
_VARIANTS = (
    "alora_invocation_tokens", "arrow_config", "kasa_config", "layer_replication", "monteclora_config", "use_bdlora",
    "use_qalora", "velora_config",
)  # fmt: skip
_SETS = ("exclude_modules", "target_modules")
_FLOATS = {"F16", "BF16", "F32", "F64"}


@dataclass(frozen=True)
class LoraConfig:
    """What a serving engine must know of an adapter. `base` and `revision` are as PEFT writes them."""

    rank: int
    alpha: int | float
    target_modules: tuple[str, ...]
    base: str
    revision: str


def config_base(base: str, revision: str) -> tuple[str, str]:
    """Base and revision as PEFT's config names them: a Hub model's plain id, else the base's canonical text."""
    ref = parse_base(base)
    return (ref.name if ref.kind == "hub" else base), revision


def canonical_config(raw: Mapping[str, Any], base: str, revision: str) -> dict[str, Any]:
    """The config with its sets in order, and with the pinned base in place of what the trainer left."""
    name, commit = config_base(base, revision)
    lists = {key: sorted(raw[key]) for key in _SETS if isinstance(raw.get(key), list) and _texts(raw[key])}
    return {**raw, **lists, "base_model_name_or_path": name, "revision": commit, "inference_mode": True}


def parse_config(raw: Mapping[str, Any], where: str) -> LoraConfig:
    """What the config says. Refusals, each named `where: key`, when it is not a plain LoRA adapter's."""
    Refusals.raise_if_any(where, _config_mistakes(raw, where))
    return LoraConfig(
        rank=raw["r"],
        alpha=raw["lora_alpha"],
        target_modules=tuple(raw["target_modules"]),
        base=raw["base_model_name_or_path"],
        revision=raw["revision"],
    )


def _config_mistakes(raw: Mapping[str, Any], where: str) -> Iterator[Refused]:
    modules = raw.get("target_modules")
    sound = {
        "peft_type": (raw.get("peft_type") == "LORA", "'LORA'"),
        "r": (type(raw.get("r")) is int and raw["r"] > 0, "a whole number above 0"),
        "lora_alpha": (type(raw.get("lora_alpha")) in (int, float) and raw["lora_alpha"] > 0, "a number above 0"),
        "target_modules": (
            modules is not None and _texts(modules) and modules == sorted(set(modules)) != [],
            "a sorted list of module names, each once",
        ),
        "base_model_name_or_path": (isinstance(raw.get("base_model_name_or_path"), str), "the base's name"),
        "revision": (isinstance(raw.get("revision"), str), "the base's pinned revision"),
    }
    for key, (is_sound, wanted) in sound.items():
        if not is_sound:
            said = f"{key} is {_short(raw.get(key))}, but it must be {wanted}"
            yield Refused(said, fix="Write the adapter again by `takeover train`.", where=where)
    variants = dict.fromkeys(_VARIANTS, ((None, False), "engines serve plain LoRA only"))
    for key, (plain, reason) in {**_PLAIN, **variants}.items():
        if raw.get(key) not in plain:
            yield Refused(
                f"{key} is {_short(raw[key])}: {reason}", fix=f"Train without {key}: a plain LoRA.", where=where
            )


def weight_mistakes(tensors: tuple[Tensor, ...], config: LoraConfig, where: str) -> Iterator[Refused]:
    """What in the weights does not belong to the config: other tensors, other ranks, other modules, a lone half."""
    fix = "The weights and the config are not of one adapter; restore both, or train again."
    halves: dict[str, set[str]] = {}
    for tensor in tensors:
        module, half = _split(tensor.name)
        if half not in ("A", "B"):
            yield Refused(f"the tensor {tensor.name!r} is no LoRA matrix of a linear layer", fix=fix, where=where)
            continue
        halves.setdefault(module, set()).add(half)
        yield from _matrix_mistakes(tensor, half, config.rank, where, fix)
    targets = set(config.target_modules)
    for module in sorted(halves):
        if len(halves[module]) == 1:
            yield Refused(f"the module {module!r} has only one of its two matrices", fix=fix, where=where)
        if not any(module == target or module.endswith("." + target) for target in targets):
            yield Refused(f"the module {module!r} is none of the config's target_modules", fix=fix, where=where)
    for target in sorted(targets):
        if not any(module == target or module.endswith("." + target) for module in halves):
            yield Refused(f"there are no weights for the target module {target!r}", fix=fix, where=where)


def _matrix_mistakes(tensor: Tensor, half: str, rank: int, where: str, fix: str) -> Iterator[Refused]:
    if tensor.dtype not in _FLOATS:
        yield Refused(f"the tensor {tensor.name!r} is of type {tensor.dtype}, not a float", fix=fix, where=where)
    found = None
    if len(tensor.shape) == 2:
        found = tensor.shape[0] if half == "A" else tensor.shape[1]
    if found != rank:
        yield Refused(
            f"the tensor {tensor.name!r} has the shape {list(tensor.shape)}, not that of rank {rank}",
            fix=fix,
            where=where,
        )


def _split(name: str) -> tuple[str, str]:
    """`<module>.lora_A.weight` as (module, "A")."""
    module, separator, half = name.removesuffix(".weight").rpartition(".lora_")
    return (module, half) if separator and module and name.endswith(".weight") else (name, "")


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and item for item in value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
