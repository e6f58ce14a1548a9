"""A loaded base with its adapters and its scheduler: what the web application asks for answers."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from serving.local.asks import Ask, Piece
from serving.local.decode import Forward
from serving.local.errors import bad_request
from serving.local.load import LoadedBase
from serving.local.lora import AdapterWeights, LoraLayers, read_adapter
from serving.local.metrics import Metrics
from serving.local.rows import Row
from serving.local.scheduler import Scheduler
from serving.local.shelf import Entry, Shelf
from serving.local.text import StopStrings, TextStream
from takeover.adapter import Adapter
from takeover.bases.materialise import LocalBase

__all__ = ["Engine", "Limits"]


@dataclass(frozen=True)
class Limits:
    max_batch: int = 8
    max_queue: int = 64


class Engine:
    """Everything here but `new_entry` and `close` is quick, and called from the event loop."""

    def __init__(
        self,
        local: LocalBase,
        loaded: LoadedBase,
        limits: Limits,
        deliver: Callable[[list[tuple[Row, Piece]]], None],
    ) -> None:
        self.local, self.loaded, self.limits = local, loaded, limits
        self.base_name = str(local.ref)
        self.created = int(time.time())
        self.shelf = Shelf()
        self.metrics = Metrics(self.base_name)
        self._lora = LoraLayers(loaded.model)
        # The scheduler's thread decodes while the event loop encodes: each has a tokenizer of its own.
        self._decoder = copy.deepcopy(loaded.tokenizer.backend_tokenizer)
        self.scheduler = Scheduler(
            Forward(loaded.model, self._lora, loaded.layers),
            pad=loaded.pad,
            max_batch=limits.max_batch,
            max_queue=limits.max_queue,
            deliver=deliver,
            observer=self.metrics,
        )
        room = limits.max_batch * loaded.context_length
        self.metrics.watch(
            lambda: self.scheduler.running,
            lambda: self.scheduler.waiting,
            lambda: self.scheduler.cached_tokens / room,
        )

    def new_entry(self, adapter: Adapter) -> Entry:
        """Read a verified adapter's weights and let the layers know them; Refused when they do not fit.

        Waits for the disk and for the step that runs: call it in a thread.
        """
        file = read_adapter(adapter.path, adapter.served_name)
        self._lora.require_fits(file)
        weights = self.scheduler.between_steps(lambda: self._lora.attach(file, self.loaded.dtype))
        return Entry(adapter, weights, int(time.time()))

    def encode_text(self, text: str, *, special: bool) -> tuple[int, ...]:
        return tuple(self.loaded.tokenizer(text, add_special_tokens=special)["input_ids"])

    def encode_chat(
        self, messages: Sequence[Mapping[str, str]], *, opened: bool, continued: bool, extra: Mapping[str, Any]
    ) -> tuple[int, ...]:
        """The chat as the base's template writes it; ApiError 400 when the template refuses it, or there is none."""
        tokenizer = self.loaded.tokenizer
        if not tokenizer.chat_template:
            raise bad_request("this base has no chat template; use /v1/completions", "messages")
        try:
            encoded = tokenizer.apply_chat_template(
                list(messages),
                tokenize=True,
                return_dict=True,
                add_generation_prompt=opened and not continued,
                continue_final_message=continued,
                **{name: value for name, value in extra.items() if name not in _TEMPLATE_ARGUMENTS},
            )
        except (TemplateError, ValueError, TypeError) as error:
            raise bad_request(f"the chat template refuses these messages: {error}", "messages") from error
        return tuple(encoded["input_ids"])

    def require_room(self, prompt: Sequence[int], wanted: int | None) -> int:
        """The most tokens that the answer may have; ApiError 400 when prompt and answer exceed the context."""
        longest, length = self.loaded.context_length, len(prompt)
        said = (
            f"This model's maximum context length is {longest} tokens. However, your request has {length} input tokens"
        )
        if length == 0:
            raise bad_request("the prompt is empty", "prompt")
        if length >= longest:
            raise bad_request(f"{said}. Please reduce the length of the input messages.", "input_tokens")
        if wanted is not None and length + wanted > longest:
            raise bad_request(f"{said} and asks for {wanted} more. Please reduce one or the other.", "max_tokens")
        if not 0 <= min(prompt) <= max(prompt) < self.loaded.vocabulary:
            raise bad_request(f"a token id is outside of 0 to {self.loaded.vocabulary - 1}", "prompt")
        return wanted or longest - length

    def new_row(self, ask: Ask, weights: AdapterWeights | None, stop: Sequence[str], *, skip_special: bool) -> Row:
        stops = StopStrings(tuple(stop), include=ask.include_stop)
        return Row(ask, weights, TextStream(self._decoder, ask.prompt, stops, skip_special=skip_special))

    def close(self) -> None:
        """End the scheduler's thread; what still runs is cancelled."""
        self.scheduler.stop()


# What a request may not pass to the template, because it is decided elsewhere.
_TEMPLATE_ARGUMENTS = frozenset(
    {
        *("conversation", "tokenize", "return_dict", "return_tensors", "chat_template", "padding", "truncation"),
        *("max_length", "tokenizer_kwargs", "add_generation_prompt", "continue_final_message", "processor_kwargs"),
        *("return_assistant_tokens_mask", "tools", "documents"),
    }
)
