"""One answer, and what is asked: plain values, built from the SDK's objects and into its arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from takeover.errors import Refused, VendorError
from takeover.outputs import EndpointOutputs

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

__all__ = ["Messages", "Question", "Reply", "UnknownAdapter", "Usage", "build_question", "parse_reply"]

Messages: TypeAlias = str | Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Usage:
    """Tokens of the prompt, of the answer, and of both."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


@dataclass(frozen=True)
class Reply:
    """One answer. `str(reply)` is its text; `finish_reason` is the server's (`stop`, `length`, ...)."""

    text: str
    model: str
    finish_reason: str
    usage: Usage | None

    def __str__(self) -> str:
        return self.text

    def to_json(self) -> dict[str, Any]:
        """The reply as plain data, for `takeover ask --json`."""
        usage = self.usage and {
            "promptTokens": self.usage.prompt_tokens,
            "completionTokens": self.usage.completion_tokens,
            "totalTokens": self.usage.total_tokens,
        }
        return {"text": self.text, "model": self.model, "finishReason": self.finish_reason, "usage": usage}


class UnknownAdapter(Refused):
    """The caller names an adapter that the outputs do not have."""


@dataclass(frozen=True)
class Question:
    """A request without its model, which depends on the outputs at the moment of asking."""

    messages: Sequence[Mapping[str, Any]]
    adapter: str | None
    options: Mapping[str, Any]

    def arguments(self, outputs: EndpointOutputs) -> dict[str, Any]:
        """The arguments of the SDK's `chat.completions.create`."""
        model = _model_of(self.adapter, outputs)
        return {"model": model, "messages": self.messages, **self.options}


def build_question(messages: Messages, adapter: str | None, options: Mapping[str, Any]) -> Question:
    """A text is one turn of the user's. Raises Refused where the call contradicts itself."""
    if "stream" in options:
        raise Refused("stream is not an option of chat()", fix="Call stream() or astream().")
    if adapter is not None and "model" in options:
        raise Refused("adapter and model are both given", fix="Give one of the two.")
    turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    return Question(messages=turns, adapter=adapter, options=options)


def _model_of(adapter: str | None, outputs: EndpointOutputs) -> str:
    """The served name: the default's, or that of an adapter by its name or by its served name."""
    if adapter is None:
        return outputs.model
    for each in outputs.adapters:
        if adapter in (each.name, each.model):
            return each.model
    served = ", ".join(each.model for each in outputs.adapters)
    raise UnknownAdapter(f"there is no adapter {adapter!r}", why=f"Served are {served}.", fix="Name one of these.")


def parse_reply(completion: ChatCompletion) -> Reply:
    """The first choice. VendorError when the server answers with none."""
    if not completion.choices:
        raise VendorError("the endpoint answered without an answer", why="`choices` is empty.")
    choice, usage = completion.choices[0], completion.usage
    return Reply(
        text=choice.message.content or "",
        model=completion.model,
        finish_reason=choice.finish_reason,
        usage=Usage(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) if usage else None,
    )
