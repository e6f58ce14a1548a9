"""What may be asked: the bodies of the chat and the completion request, as vLLM takes them.

Fields and defaults: vLLM's chat_completion/protocol.py and completion/protocol.py (0.2x-0.3x, read 2026-11-24). As
vLLM does, fields that nobody knows are ignored: an SDK sends its newest ones, and what works here must work there. But
a field that vLLM knows and that changes the answer is never ignored: it is done, or refused with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from serving.local.asks import Sampling
from serving.local.errors import ApiError, bad_request

__all__ = [
    "ChatRequest",
    "CompletionRequest",
    "LoadRequest",
    "Message",
    "StreamOptions",
    "UnloadRequest",
    "unknown_model",
]

_INT64 = 2**63
_COMPLETION_TOKENS = 16  # OpenAI's default for /v1/completions, and vLLM's


@dataclass(frozen=True)
class _Not:
    """A field that is not served: the values that ask for nothing, why, and what to do."""

    neutral: tuple[Any, ...]
    why: str
    instead: str = "leave it out"


_NO_GRAMMAR = _Not((None,), "this server cannot constrain its answers to a grammar", "use a vLLM tier, or leave it out")
_NO_TOOLS = _Not((None, "none", []), "this server parses no tool calls", "use a vLLM tier, or leave it out")
_NO_LOGPROBS = _Not((None, False), "this server does not compute log-probabilities", "use a vLLM tier, or leave it out")
_NO_LIST = _Not((None, [], {}), "this server does not bias or ban tokens")
_NOT_SERVED: Mapping[str, _Not] = MappingProxyType(
    {
        "n": _Not((None, 1), "one request gets one answer here", "send the request several times, with other seeds"),
        "best_of": _Not((None, 1), "one request gets one answer here"),
        "use_beam_search": _Not((None, False), "this server does no beam search"),
        "logprobs": _NO_LOGPROBS,
        "top_logprobs": _Not((None, 0), _NO_LOGPROBS.why, _NO_LOGPROBS.instead),
        "prompt_logprobs": _Not((None,), _NO_LOGPROBS.why, _NO_LOGPROBS.instead),
        "logprob_token_ids": _Not((None,), _NO_LOGPROBS.why, _NO_LOGPROBS.instead),
        "tools": _NO_TOOLS,
        "tool_choice": _NO_TOOLS,
        "functions": _NO_TOOLS,
        "function_call": _NO_TOOLS,
        "response_format": _Not((None, {"type": "text"}), _NO_GRAMMAR.why, _NO_GRAMMAR.instead),
        "structured_outputs": _NO_GRAMMAR,
        "guided_json": _NO_GRAMMAR,
        "guided_regex": _NO_GRAMMAR,
        "guided_choice": _NO_GRAMMAR,
        "guided_grammar": _NO_GRAMMAR,
        "logit_bias": _NO_LIST,
        "bad_words": _NO_LIST,
        "allowed_token_ids": _NO_LIST,
        "echo": _Not((None, False), "the prompt is not repeated in the answer"),
        "suffix": _Not((None, ""), "text is not filled in before a suffix; vLLM refuses it too"),
        "prompt_embeds": _Not((None,), "prompts are text or token ids here"),
        "truncate_prompt_tokens": _Not((None,), "prompts are not cut silently", "shorten the prompt"),
        "chat_template": _Not((None,), "the base's own template is used; vLLM refuses it too unless told to trust it"),
        "modalities": _Not((None, ["text"]), "this server writes text"),
        "audio": _Not((None,), "this server writes text"),
    }
)


def _as_list(value: Any) -> Any:
    return [] if value is None else [value] if isinstance(value, str) else value


StopStrings = Annotated[list[Annotated[str, Field(min_length=1)]], BeforeValidator(_as_list)]


class StreamOptions(BaseModel):
    """As vLLM: naming the options asks for usage, unless they say no."""

    include_usage: bool = True
    continuous_usage_stats: bool = False


class _Request(BaseModel):
    """What both kinds of request may say about the answer. `None` means the model's or OpenAI's default."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    model: str | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    stop: StopStrings = Field(default_factory=list)
    stop_token_ids: list[int] | None = None
    include_stop_str_in_output: bool = False
    ignore_eos: bool = False
    skip_special_tokens: bool = True
    min_tokens: Annotated[int, Field(ge=0)] = 0
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: Annotated[int, Field(ge=-_INT64, lt=_INT64)] | None = None

    @model_validator(mode="after")
    def _options_need_a_stream(self) -> _Request:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options can only be given when stream is true")
        return self

    @property
    def usage_wanted(self) -> StreamOptions:
        return self.stream_options or StreamOptions(include_usage=False)

    def sampling(self, defaults: Mapping[str, float]) -> Sampling:
        """The request's values, else the model's, else OpenAI's."""
        values = {name: getattr(self, name) for name in Sampling.__dataclass_fields__}
        return Sampling(**{**defaults, **{name: value for name, value in values.items() if value is not None}})

    def require_served(self) -> None:
        """ApiError 400 for every field that this server would have to ignore."""
        refused = {
            name: _NOT_SERVED[name]
            for name, value in (self.model_extra or {}).items()
            if name in _NOT_SERVED and not _is_neutral(value, _NOT_SERVED[name].neutral)
        }
        if refused:
            raise bad_request(
                "; ".join(f"{name} is not served: {each.why}; {each.instead}" for name, each in refused.items()),
                next(iter(refused)),
            )

    def tokens_wanted(self) -> int | None:
        """The most tokens that the request wants; None: as many as fit."""
        return self.max_tokens


def _is_neutral(value: Any, neutral: tuple[Any, ...]) -> bool:
    """Equal and of the same type: `logprobs: 0` asks for something, `logprobs: false` does not."""
    return any(type(value) is type(each) and value == each for each in neutral)


class TextPart(BaseModel):
    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One turn. Parts of text are joined by line breaks, as vLLM does for templates that take strings."""

    role: str
    content: str | list[TextPart] | None = None

    def for_template(self) -> dict[str, str]:
        content = self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content or ())
        return {"role": self.role, "content": content}


class ChatRequest(_Request):
    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)

    def tokens_wanted(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens


class CompletionRequest(_Request):
    """`prompt` is a text or token ids, or a list of either; each gets a choice of its own."""

    prompt: str | list[str] | list[int] | list[list[int]]
    add_special_tokens: bool = True

    def tokens_wanted(self) -> int | None:
        return self.max_tokens or _COMPLETION_TOKENS

    def prompts(self) -> list[str | list[int]]:
        """Every prompt by itself; ApiError 400 for an empty list."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if not self.prompt:
            raise bad_request("prompt is empty", "prompt")
        if isinstance(self.prompt[0], int):
            return [self.prompt]
        return cast(list[str | list[int]], self.prompt)


class LoadRequest(BaseModel):
    lora_name: Annotated[str, Field(min_length=1)]
    lora_path: Annotated[str, Field(min_length=1)]


class UnloadRequest(BaseModel):
    """`drain_seconds` is ours: the adapter answers on under its name for so long."""

    lora_name: Annotated[str, Field(min_length=1)]
    drain_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0


def unknown_model(name: str) -> ApiError:
    return ApiError(404, "NotFoundError", f"The model `{name}` does not exist.", param="model")
