"""Keys and values of rows that come and go.

Every row ends at the same position and is padded on the left, so that one new token of each row is written at one
place. transformers' DynamicCache copies everything at each step to append a token; here a step writes in place, in
tensors that grow by half when they are full.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from takeover.errors import Refused

__all__ = ["RowsCache", "left_padded", "require_plain_attention"]

_LEAST_ROOM = 64


class RowsLayer(DynamicLayer):
    """One layer's keys and values, seen by the model as [rows, heads, positions, size].

    Left of a row's first token everything is zero: a masked position must never hold what is not a number.
    """

    def __init__(self) -> None:
        super().__init__()
        self._stores: tuple[Tensor, Tensor] | None = None
        self._rows = self._begin = self._end = 0

    def get_seq_length(self) -> int:
        return self._end - self._begin

    def update(self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append what the model computed for all rows; what it attends to comes back."""
        self._rows, new = key_states.shape[0], key_states.shape[2]
        self._make_room((key_states, value_states), self._rows, self.get_seq_length(), new)
        for store, states in zip(self._held(), (key_states, value_states), strict=True):
            store[: self._rows, :, self._end : self._end + new] = states
        self._end += new
        self.is_initialized = True
        self.keys, self.values = (store[: self._rows, :, self._begin : self._end] for store in self._held())
        return self.keys, self.values

    def take(self, other: RowsLayer, indices: Sequence[int]) -> None:
        """Append these rows of another layer."""
        theirs = [store[: other._rows, :, other._begin : other._end][list(indices)] for store in other._held()]
        length = max(self.get_seq_length(), other.get_seq_length())
        self._make_room((theirs[0], theirs[1]), self._rows + len(indices), length, 0)
        begin, rows = self._end - length, slice(self._rows, self._rows + len(indices))
        for store, states in zip(self._held(), theirs, strict=True):
            store[: self._rows, :, begin : self._begin] = 0
            store[rows, :, begin : self._end - states.shape[2]] = 0
            store[rows, :, self._end - states.shape[2] : self._end] = states
        self._begin, self._rows, self.is_initialized = begin, rows.stop, True

    def drop(self, index: int) -> None:
        """Remove a row; the last row takes its place."""
        self._rows -= 1
        if index != self._rows:
            for store in self._held():
                store[index, :, self._begin : self._end] = store[self._rows, :, self._begin : self._end]

    def trim(self, length: int) -> None:
        """Forget what lies left of the last `length` positions."""
        self._begin = self._end - length

    def _held(self) -> tuple[Tensor, Tensor]:
        assert self._stores is not None, "the model has not run yet"
        return self._stores

    def _make_room(self, like: tuple[Tensor, Tensor], rows: int, length: int, new: int) -> None:
        """See to space for `rows` rows of `length` positions that end where the present ones do, and `new` more."""
        if self._stores is not None:
            store = self._stores[0]
            if rows <= store.shape[0] and self._end + new <= store.shape[2] and length <= self._end:
                return
        capacity = (length + new) * 3 // 2 + _LEAST_ROOM
        grown = [states.new_zeros(rows, states.shape[1], capacity, states.shape[3]) for states in like]
        present = self.get_seq_length()
        if self._stores is not None:
            kept = min(self._rows, self._stores[0].shape[0])
            for old, store in zip(self._stores, grown, strict=True):
                store[:kept, :, length - present : length] = old[:kept, :, self._begin : self._end]
        self._stores = (grown[0], grown[1])
        self._begin, self._end = length - present, length


class RowsCache(Cache):
    """The cache of a whole model. Sliding-window layers keep everything too: the mask says what they see."""

    def __init__(self, layers: int) -> None:
        self._layers = [RowsLayer() for _ in range(layers)]
        super().__init__(layers=list(self._layers))

    @property
    def length(self) -> int:
        return self._layers[0].get_seq_length()

    def take(self, other: RowsCache, indices: Sequence[int]) -> None:
        """Append these rows of another cache, in this order."""
        for ours, theirs in zip(self._layers, other._layers, strict=True):
            ours.take(theirs, indices)

    def drop(self, indices: Iterable[int], longest: int) -> None:
        """Remove rows, from the highest index down, each time moving the last row into the gap.

        `longest` is the length of the longest row that stays; what lies left of it is forgotten.
        """
        ordered = sorted(indices, reverse=True)
        for layer in self._layers:
            for index in ordered:
                layer.drop(index)
            layer.trim(longest)


def require_plain_attention(config: Any) -> int:
    """The number of layers; Refused when the architecture keeps another kind of state (Mamba, linear attention)."""
    layers = DynamicCache(config=config).layers
    strange = sorted({type(layer).__name__ for layer in layers if not isinstance(layer, DynamicLayer)})
    if not layers or strange:
        raise Refused(
            f"the base's architecture ({config.model_type}) is not served by the local tier",
            why=f"It keeps state of another kind than keys and values: {', '.join(strange) or 'unknown'}.",
            fix="Use a base whose layers are attention, such as Llama, Qwen3, Mistral or SmolLM2.",
        )
    return len(layers)


def left_padded(rows: Sequence[Sequence[int]], pad: int) -> Tensor:
    """[rows, longest] of token ids, each row ending at the right edge."""
    longest = max(map(len, rows))
    return torch.tensor([[pad] * (longest - len(row)) + list(row) for row in rows])
