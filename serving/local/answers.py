"""The answers' JSON, as vLLM and OpenAI write it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from serving.local.asks import Finish, Piece

__all__ = ["Kind", "Shape", "event", "usage"]

Kind = Literal["chat", "completion"]
DONE = "data: [DONE]\n\n"


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "completion_tokens": completion_tokens,
        "prompt_tokens_details": None,
    }


def event(body: Mapping[str, Any]) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"


@dataclass(frozen=True)
class Shape:
    """How the answer to one request looks: what all its bodies have in common."""

    kind: Kind
    id: str
    model: str
    created: int

    def whole(self, texts: Sequence[str], finishes: Sequence[Finish], used: Mapping[str, Any]) -> dict[str, Any]:
        """The one body of an answer that is not streamed; a choice for each prompt."""
        choices = [
            self._choice(index, text, finish) for index, (text, finish) in enumerate(zip(texts, finishes, strict=True))
        ]
        name = "chat.completion" if self.kind == "chat" else "text_completion"
        return {**self._common(name), "choices": choices, "usage": used}

    def opening(self, choices: int) -> list[dict[str, Any]]:
        """The chunks before the first text: a chat begins with its role."""
        if self.kind != "chat":
            return []
        start = {"role": "assistant", "content": ""}
        return [
            self._chunk([{"index": index, "delta": start, "logprobs": None, "finish_reason": None}])
            for index in range(choices)
        ]

    def chunk(self, index: int, piece: Piece) -> dict[str, Any]:
        """One piece of text; the last one says why the answer ended."""
        text = {"delta": {"content": piece.text}} if self.kind == "chat" else {"text": piece.text}
        end: dict[str, Any] = {"finish_reason": None}
        if piece.finish is not None:
            end = _ending(piece.finish)
        return self._chunk([{"index": index, **text, "logprobs": None, **end}])

    def usage_chunk(self, used: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._chunk([]), "usage": used}

    def _choice(self, index: int, text: str, finish: Finish) -> dict[str, Any]:
        said: dict[str, Any] = {"text": text}
        if self.kind == "chat":
            said = {"message": {"role": "assistant", "content": text, "refusal": None}}
        return {"index": index, **said, "logprobs": None, **_ending(finish)}

    def _chunk(self, choices: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        name = "chat.completion.chunk" if self.kind == "chat" else "text_completion"
        return {**self._common(name), "choices": list(choices)}

    def _common(self, name: str) -> dict[str, Any]:
        return {"id": self.id, "object": name, "created": self.created, "model": self.model}


def _ending(finish: Finish) -> dict[str, Any]:
    return {"finish_reason": finish.reason, "stop_reason": finish.stop_reason}
