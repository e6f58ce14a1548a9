"""How many tokens each row makes, with any tokenizer that transformers loads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from takeover.errors import Refused
from training.datasets.formats import Example, Text

__all__ = ["Lengths", "Tokenizer", "measure", "render"]


_CHUNK = 512


class Tokenizer(Protocol):
    """What is used of a transformers tokenizer."""

    chat_template: Any
    eos_token: str | None

    def apply_chat_template(self, conversation: Any, *, tokenize: bool, add_generation_prompt: bool) -> str: ...
    def __call__(self, text: list[str], *, add_special_tokens: bool) -> Any: ...


@dataclass(frozen=True)
class Lengths:
    """Tokens of one row. `longest` is what stands in a batch: the prompt with its longer answer, the end token too."""

    prompt: int
    chosen: int
    rejected: int | None

    @property
    def longest(self) -> int:
        return self.prompt + max(self.chosen, self.rejected or 0)


def measure(examples: Sequence[Example], tokenizer: Tokenizer) -> tuple[Lengths, ...]:
    """The lengths of each row, in order. Refused when rows are chats and the tokenizer has no chat template."""
    if any(example.conversational for example in examples) and not tokenizer.chat_template:
        raise Refused(
            "the rows are chats, but the base's tokenizer has no chat template",
            why="Nothing says how its messages are written.",
            fix="Use an instruction-tuned base, or plain rows (prompt, chosen, rejected as text).",
        )
    found: list[Lengths] = []
    for start in range(0, len(examples), _CHUNK):
        found += _measure_chunk(examples[start : start + _CHUNK], tokenizer)
    return tuple(found)


def _measure_chunk(examples: Sequence[Example], tokenizer: Tokenizer) -> Iterable[Lengths]:
    prompts = _count([render(example.prompt, None, tokenizer) for example in examples], examples, tokenizer)
    chosen = _count([render(e.prompt, e.chosen, tokenizer) for e in examples], examples, tokenizer)
    # A row without a rejected answer counts its chosen one twice; the figure is dropped below.
    rejected = _count([render(e.prompt, e.rejected or e.chosen, tokenizer) for e in examples], examples, tokenizer)
    for example, prompt, one, other in zip(examples, prompts, chosen, rejected, strict=True):
        yield Lengths(prompt, one - prompt, None if example.rejected is None else other - prompt)


def _count(texts: list[str], examples: Sequence[Example], tokenizer: Tokenizer) -> list[int]:
    # A chat template writes its own special tokens; plain text gets those of the tokenizer.
    plain = not examples[0].conversational
    return [len(ids) for ids in tokenizer(texts, add_special_tokens=plain)["input_ids"]]


def render(prompt: Text, answer: Text | None, tokenizer: Tokenizer) -> str:
    """The text that the base reads: the prompt ready for an answer, or the prompt with its answer to the end."""
    if isinstance(prompt, str):
        return prompt if answer is None else _ended(f"{prompt}{answer}", tokenizer.eos_token or "")
    messages = [asdict(message) for message in (*prompt, *(answer or ()))]
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=answer is None)


def _ended(text: str, end: str) -> str:
    # As TRL does it: an end that stands there already is not written twice.
    return text if text.endswith(end) else text + end
