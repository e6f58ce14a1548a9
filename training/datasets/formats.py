"""From a row as somebody wrote it to an `Example`. Pure.

Known forms, told apart by their fields:

| form | fields |
|---|---|
| TRL, plain | `prompt`, `chosen`, `rejected` as text |
| TRL, conversational | the same as lists of `{role, content}` |
| TRL, implicit prompt | `chosen`, `rejected` alone: what both begin with is the prompt |
| ShareGPT | `conversations`, `chosen`, `rejected` of `{from, value}`; `system` may stand beside them |
| for SFT alone | `prompt` and `completion`, or `messages` |

Sources: TRL 1.16 docs/source/dataset_formats.md; LLaMA-Factory data/README.md (2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.datasets.sources import RawRow

__all__ = ["BadRow", "Example", "Message", "Text", "parse_row"]

_ROLES = {"human": "user", "gpt": "assistant", "user": "user", "assistant": "assistant", "system": "system"}
_NOT_READ = ("images", "image", "videos", "audios", "tools")


@dataclass(frozen=True)
class Message:
    role: str
    content: str


Text = str | tuple[Message, ...]


@dataclass(frozen=True)
class Example:
    """One checked row. Either all three parts are text, or all three are messages (`chosen` and `rejected`: answers).

    `rejected` is None where the row has no rejected answer, which SFT does not need.
    """

    number: int
    prompt: Text
    chosen: Text
    rejected: Text | None

    @property
    def conversational(self) -> bool:
        return not isinstance(self.prompt, str)


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used, and all that is wrong with it."""

    number: int
    reasons: tuple[str, ...]


class _Bad(ValueError):
    """Why a row cannot be used; caught in `parse_row`."""


def parse_row(row: RawRow, *, needs_rejected: bool) -> Example | BadRow:
    """Normalise one row. `needs_rejected` is true for preference training."""
    if row.value is None:
        return BadRow(row.number, (row.unreadable,))
    fields = {key: value for key, value in row.value.items() if value is not None}
    reasons: list[str] = [f'"{key}" is not read here' for key in _NOT_READ if fields.get(key)]
    try:
        prompt, chosen, rejected = _parts(fields, needs_rejected)
    except _Bad as error:
        return BadRow(row.number, (*reasons, *str(error).split("\n")))
    reasons += _reasons(prompt, chosen, rejected)
    return BadRow(row.number, tuple(reasons)) if reasons else Example(row.number, prompt, chosen, rejected)


def _parts(fields: Mapping[str, Any], needs_rejected: bool) -> tuple[Text, Text, Text | None]:
    if "conversations" in fields:
        return _sharegpt(fields, needs_rejected)
    if not needs_rejected and "messages" in fields:
        messages = _messages(fields["messages"], "messages")
        return messages[:-1], messages[-1:], None
    _require(fields, ("chosen", "rejected") if needs_rejected else (_answer_field(fields),))
    if "prompt" in fields:
        return _explicit(fields, "rejected" in fields)
    _require(fields, ("prompt",) if "rejected" not in fields else ())
    return _implicit(_text(fields["chosen"], "chosen"), _text(fields["rejected"], "rejected"))


def _answer_field(fields: Mapping[str, Any]) -> str:
    return "completion" if "completion" in fields and "chosen" not in fields else "chosen"


def _require(fields: Mapping[str, Any], names: Sequence[str]) -> None:
    missing = [name for name in names if name not in fields]
    if missing:
        raise _Bad("\n".join(f'the field "{name}" is missing' for name in missing))


def _explicit(fields: Mapping[str, Any], with_rejected: bool) -> tuple[Text, Text, Text | None]:
    answer = _answer_field(fields)
    names = ("prompt", answer, "rejected") if with_rejected else ("prompt", answer)
    parts = [_text(fields[name], name) for name in names]
    kinds = ["text" if isinstance(part, str) else "a list of messages" for part in parts]
    if len(set(kinds)) > 1:
        raise _Bad("mixes forms: " + ", ".join(f'"{n}" is {kind}' for n, kind in zip(names, kinds, strict=True)))
    return parts[0], parts[1], parts[2] if with_rejected else None


def _implicit(chosen: Text, rejected: Text) -> tuple[Text, Text, Text]:
    """Split off what both answers begin with, as TRL's `extract_prompt` does."""
    if isinstance(chosen, str) and isinstance(rejected, str):
        cut = _common(chosen, rejected)
        cut -= int(cut > 0 and chosen[cut - 1] == " ")
        return chosen[:cut], chosen[cut:], rejected[cut:]
    if isinstance(chosen, str) or isinstance(rejected, str):
        raise _Bad('mixes forms: one of "chosen" and "rejected" is text, the other a list of messages')
    cut = _common(chosen, rejected)
    return chosen[:cut], chosen[cut:], rejected[cut:]


def _common(one: Sequence[object], other: Sequence[object]) -> int:
    """How many entries both begin with."""
    pairs = zip(one, other, strict=False)
    return next((index for index, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other)))


def _sharegpt(fields: Mapping[str, Any], needs_rejected: bool) -> tuple[Text, Text, Text | None]:
    turns = _messages(fields["conversations"], "conversations")
    if isinstance(fields.get("system"), str) and fields["system"].strip():
        turns = (Message("system", fields["system"]), *turns)
    if not needs_rejected and "chosen" not in fields:
        return turns[:-1], turns[-1:], None
    _require(fields, ("chosen", "rejected") if needs_rejected else ("chosen",))
    rejected = _messages(fields["rejected"], "rejected") if "rejected" in fields else None
    return turns, _messages(fields["chosen"], "chosen"), rejected


def _text(value: Any, field: str) -> Text:
    return value if isinstance(value, str) else _messages(value, field)


def _messages(value: Any, field: str) -> tuple[Message, ...]:
    listed = [value] if isinstance(value, Mapping) else value
    if not isinstance(listed, Sequence) or isinstance(listed, str | bytes):
        raise _Bad(f'"{field}" is neither text nor a list of messages')
    if not listed:
        raise _Bad(f'"{field}" is empty')
    return tuple(_message(entry, field, index) for index, entry in enumerate(listed, start=1))


def _message(entry: Any, field: str, index: int) -> Message:
    if not isinstance(entry, Mapping):
        raise _Bad(f'message {index} of "{field}" is not an object')
    role, content = entry.get("role", entry.get("from")), entry.get("content", entry.get("value"))
    if role not in _ROLES:
        raise _Bad(f'message {index} of "{field}" has the unknown role {role!r}')
    if not isinstance(content, str):
        raise _Bad(f'message {index} of "{field}" has no text')
    return Message(_ROLES[role], content)


def _reasons(prompt: Text, chosen: Text, rejected: Text | None) -> list[str]:
    answers = {"chosen": chosen} | ({} if rejected is None else {"rejected": rejected})
    found = [f'"{name}" is empty' for name, part in {"prompt": prompt, **answers}.items() if _is_empty(part)]
    if not found and rejected is not None and _plain(chosen) == _plain(rejected):
        found.append('"chosen" equals "rejected"')
    found += [f'"{name}" holds half a character (a lone surrogate)' for name in _broken({"prompt": prompt, **answers})]
    if not isinstance(prompt, str) and prompt:
        found += [] if prompt[-1].role == "user" else [f'"prompt" ends with a message of the {prompt[-1].role}']
        found += [
            f'"{name}" begins with a message of the {part[0].role}, not the assistant'
            for name, part in answers.items()
            if not isinstance(part, str) and part and part[0].role != "assistant"
        ]
    return found


def _plain(part: Text) -> object:
    return part.strip() if isinstance(part, str) else tuple((m.role, m.content.strip()) for m in part)


def _broken(parts: Mapping[str, Text]) -> list[str]:
    """The parts that no UTF-8 can hold: JSON's escapes can name half of a pair, and no tokenizer takes it."""
    texts = {name: part if isinstance(part, str) else "".join(m.content for m in part) for name, part in parts.items()}
    return [name for name, text in texts.items() if any("\ud800" <= mark <= "\udfff" for mark in text)]


def _is_empty(part: Text) -> bool:
    if isinstance(part, str):
        return not part.strip()
    return not part or any(not message.content.strip() for message in part)
