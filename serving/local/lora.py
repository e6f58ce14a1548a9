"""LoRA for a batch whose rows carry different adapters, or none.

PEFT can mix adapters in a batch (`adapter_names=`), and its files are what this reads. Its layers were measured and not
used (SmolLM2-135M, r=64 on q/k/v/o, bfloat16, two cores, 2026-11-24, median milliseconds a step):

| rows                                  | no adapter | PEFT | here |
|---------------------------------------|-----------:|-----:|-----:|
| 1, one adapter                        |         26 |   37 |   32 |
| 8, one adapter                        |         38 |   50 |   47 |
| 8, two adapters and the bare base     |          - |   73 |   48 |

`disable_adapter` for bare rows costs another 14 ms a step, loading into a running PeftModel needs a lock, and the
import takes 1.5 s of the start. Here the matrices of all adapters in the batch lie side by side as one adapter of the
summed rank, and a mask of rows by ranks picks each row's part: two products a layer, however many adapters. The
artifact admits plain LoRA on linear layers only, so there is nothing else to support.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from takeover.errors import Refusals, Refused

__all__ = ["AdapterFile", "AdapterWeights", "LoraLayers", "read_adapter"]

_PREFIX = "base_model.model."  # how PEFT names a module of the wrapped model


@dataclass(frozen=True, eq=False)
class AdapterWeights:
    """One adapter's matrices: module -> (A of [rank, in], B of [out, rank] with the scaling multiplied in)."""

    name: str
    rank: int
    pairs: Mapping[str, tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class _Route:
    pairs: Mapping[str, tuple[Tensor, Tensor]]
    mask: Tensor | None  # [rows, 1, summed rank]; None when every row uses all of it


@dataclass(frozen=True)
class AdapterFile:
    """What PEFT's two files hold: module -> (A, B) as stored, on the disk until they are used."""

    name: str
    rank: int
    scaling: float
    pairs: Mapping[str, tuple[Tensor, Tensor]]

    def weights(self, dtype: torch.dtype) -> AdapterWeights:
        """The matrices as the model computes with them; about 10 ms for r=64 on SmolLM2-135M.

        Only in the thread that runs the model: a second thread that computes has OpenMP threads of its own, and then
        all of them go to sleep at once where they wait for each other, which makes every step twice as slow for good.
        """
        pairs = {module: (a.to(dtype), (b.float() * self.scaling).to(dtype)) for module, (a, b) in self.pairs.items()}
        return AdapterWeights(self.name, self.rank, pairs)


def read_adapter(folder: Path, name: str) -> AdapterFile:
    """Read the files in `folder`, which `open_adapter` has verified. Refused when it is no plain LoRA."""
    config: Mapping[str, Any] = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    if config.get("alora_invocation_tokens"):
        raise Refused(f"{name} is an activated LoRA, which is not served", fix="Train a plain LoRA.")
    rank = int(config["r"])
    scaling = config["lora_alpha"] / (rank**0.5 if config.get("use_rslora") else rank)
    halves: dict[str, dict[str, Tensor]] = {}
    for key, tensor in load_file(folder / "adapter_model.safetensors").items():
        module, _, half = key.removeprefix(_PREFIX).removesuffix(".weight").rpartition(".lora_")
        halves.setdefault(module, {})[half] = tensor
    return AdapterFile(name, rank, scaling, {module: (half["A"], half["B"]) for module, half in halves.items()})


class LoraLayers:
    """The linear layers of one model, each adding what the present route says to its output.

    Everything here belongs to the thread that runs the model, but `require_fits`, which only reads.
    """

    def __init__(self, model: nn.Module) -> None:
        self._linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
        self._hooked: set[str] = set()
        self._route: _Route | None = None
        self._stacked: tuple[tuple[AdapterWeights, ...], Mapping[str, tuple[Tensor, Tensor]]] = ((), {})

    def require_fits(self, adapter: AdapterFile) -> None:
        """Refusals, naming each module that this base lacks or has in another size."""
        mistakes = []
        for module, (a, b) in adapter.pairs.items():
            linear = self._linears.get(module)
            found = None if linear is None else (linear.in_features, linear.out_features)
            if found != (a.shape[1], b.shape[0]):
                has = (
                    "has no such linear layer"
                    if found is None
                    else f"has it with {found[0]} inputs, {found[1]} outputs"
                )
                mistakes.append(
                    Refused(f"{module} has {a.shape[1]} inputs and {b.shape[0]} outputs, but the base {has}")
                )
        Refusals.raise_if_any(f"{adapter.name} does not fit the base", mistakes)

    def attach(self, adapter: AdapterFile, dtype: torch.dtype) -> AdapterWeights:
        """Make the matrices ready, and let the layers that they target look at the route; between two steps only."""
        for module in adapter.pairs.keys() - self._hooked:
            self._linears[module].register_forward_hook(self._adder(module))
            self._hooked.add(module)
        return adapter.weights(dtype)

    def use(self, rows: Sequence[AdapterWeights | None]) -> None:
        """Set the route for the next forward passes: one entry a row of the batch."""
        present = tuple(sorted({id(row): row for row in rows if row is not None}.values(), key=lambda each: each.name))
        if not present:
            self._route = None
        elif len(present) == 1 and all(rows):
            self._route = _Route(present[0].pairs, None)
        else:
            self._route = _Route(self._stack(present), _mask(rows, present))

    def _stack(self, present: tuple[AdapterWeights, ...]) -> Mapping[str, tuple[Tensor, Tensor]]:
        if self._stacked[0] != present:
            self._stacked = (present, _side_by_side(present))
        return self._stacked[1]

    def _adder(self, module: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor | None]:
        def add(_linear: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            route = self._route
            pair = route.pairs.get(module) if route is not None else None
            if route is None or pair is None:
                return None
            hidden = nn.functional.linear(inputs[0], pair[0])
            if route.mask is not None:
                hidden = hidden * route.mask
            return output.add_(nn.functional.linear(hidden, pair[1]))

        return add


def _side_by_side(present: Iterable[AdapterWeights]) -> Mapping[str, tuple[Tensor, Tensor]]:
    """All adapters as one of the summed rank; zeros where an adapter leaves a module alone."""
    adapters = tuple(present)
    if len(adapters) == 1:
        return adapters[0].pairs
    shapes = {module: pair for adapter in adapters for module, pair in adapter.pairs.items()}
    stacked = {}
    for module, (a, b) in shapes.items():
        parts = [
            adapter.pairs.get(module) or (a.new_zeros(adapter.rank, a.shape[1]), b.new_zeros(b.shape[0], adapter.rank))
            for adapter in adapters
        ]
        stacked[module] = (torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts], dim=1))
    return stacked


def _mask(rows: Sequence[AdapterWeights | None], present: Sequence[AdapterWeights]) -> Tensor:
    """[rows, 1, summed rank]: 1 where the rank belongs to the row's adapter."""
    some = next(iter(present[0].pairs.values()))[0]
    mask = some.new_zeros(len(rows), 1, sum(adapter.rank for adapter in present))
    for index, row in enumerate(rows):
        start = 0
        for adapter in present:
            if adapter is row:
                mask[index, :, start : start + adapter.rank] = 1
            start += adapter.rank
    return mask
