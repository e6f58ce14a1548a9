"""The forward passes: prompts into a cache piece by piece, and one token for every running row."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from serving.local.cache import RowsCache, left_padded
from serving.local.lora import AdapterWeights, LoraLayers

__all__ = ["PREFILL_TOKENS", "Batch", "Forward", "Prefill", "Sequenced"]

# Tokens that one pass over prompts may hold: what it takes (about 0.2 s for SmolLM2-135M on two cores, 2026-11-24) is
# how long a running row may have to wait for its next token.
PREFILL_TOKENS = 512


class Sequenced(Protocol):
    """What the batch must know of a row."""

    @property
    def weights(self) -> AdapterWeights | None: ...
    @property
    def prompt(self) -> Sequence[int]: ...
    @property
    def last_token(self) -> int: ...


R = TypeVar("R", bound=Sequenced)


class Forward:
    """One call of the model: token ids in, the logits of each row's last position out (float32 [rows, vocabulary])."""

    def __init__(self, model: Any, lora: LoraLayers, layers: int) -> None:
        self._model, self._lora, self._layers = model, lora, layers
        known = inspect.signature(model.forward).parameters
        self._cache_name = "cache" if "cache" in known else "past_key_values"  # renamed in transformers 5.24
        self._extra = {"logits_to_keep": 1} if "logits_to_keep" in known else {}

    def new_cache(self) -> RowsCache:
        return RowsCache(self._layers)

    def __call__(
        self, ids: Tensor, cache: RowsCache, lengths: Sequence[int], adapters: Sequence[AdapterWeights | None]
    ) -> Tensor:
        """`lengths` are the rows' tokens before this call, negative where a row's first token is yet to come."""
        self._lora.use(adapters)
        new, total = ids.shape[1], cache.length + ids.shape[1]
        positions = torch.tensor(lengths)[:, None] + torch.arange(new)
        padded = min(lengths) < cache.length
        mask = torch.arange(total) >= total - new - torch.tensor(lengths)[:, None] if padded else None
        output = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions.clamp(min=0),
            use_cache=True,
            **{self._cache_name: cache},
            **self._extra,
        )
        logits: Tensor = output.logits[:, -1].float()
        return logits


class Prefill(Generic[R]):
    """Prompts on their way into a cache of their own, a piece at each call of `advance`."""

    def __init__(self, rows: Sequence[R], forward: Forward, pad: int) -> None:
        self.rows = tuple(rows)
        self._forward, self._pad = forward, pad
        self._ids: Tensor | None = None
        self._done = 0
        self.cache = forward.new_cache()

    def advance(self) -> Tensor | None:
        """Compute the next piece; after the last one the logits for the first new tokens, before that None."""
        if self._ids is None:
            self._ids = left_padded([row.prompt for row in self.rows], self._pad)
        rows, width = self._ids.shape
        piece = self._ids[:, self._done : self._done + max(1, PREFILL_TOKENS // rows)]
        lengths = [self._done - (width - len(row.prompt)) for row in self.rows]
        logits = self._forward(piece, self.cache, lengths, [row.weights for row in self.rows])
        self._done += piece.shape[1]
        return logits if self._done == width else None


class Batch(Generic[R]):
    """The running rows, their cache, and the step that gives each of them one more token."""

    def __init__(self, forward: Forward) -> None:
        self.rows: list[R] = []
        self._lengths: list[int] = []  # tokens of each row that are in the cache
        self._forward = forward
        self._cache = forward.new_cache()

    @property
    def cached_tokens(self) -> int:
        return sum(self._lengths)

    def join(self, prefill: Prefill[R], stays: Callable[[R], bool]) -> None:
        """Take those rows of a finished prefill for which `stays` holds."""
        indices = [index for index, row in enumerate(prefill.rows) if stays(row)]
        if not indices:
            return
        self._cache.take(prefill.cache, indices)
        joined = [prefill.rows[index] for index in indices]
        self.rows.extend(joined)
        self._lengths.extend(len(row.prompt) for row in joined)
        self._trim([])

    def leave(self, gone: Iterable[R]) -> None:
        """Take rows out, wherever they are."""
        indices = sorted((self.rows.index(row) for row in gone), reverse=True)
        for index in indices:
            _swap_out(self.rows, index)
            _swap_out(self._lengths, index)
        self._trim(indices)

    def step(self) -> Tensor:
        """Feed each row's last token; logits [rows, vocabulary] for the next ones, in the order of `rows`."""
        ids = torch.tensor([[row.last_token] for row in self.rows])
        logits = self._forward(ids, self._cache, self._lengths, [row.weights for row in self.rows])
        self._lengths = [length + 1 for length in self._lengths]
        return logits

    def _trim(self, indices: Sequence[int]) -> None:
        if self.rows:
            self._cache.drop(indices, max(self._lengths))
        elif indices:
            self._cache = self._forward.new_cache()


def _swap_out(items: list[Any], index: int) -> None:
    """Remove as the cache does: the last one takes the place."""
    last = items.pop()
    if index < len(items):
        items[index] = last
