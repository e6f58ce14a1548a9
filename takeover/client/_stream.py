"""An answer in pieces: opened up to its first text, so that until then it can be asked again elsewhere."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from takeover.client._connection import Connection
from takeover.client._reply import Question

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionChunk

__all__ = ["Started", "StartedAsync", "astarted", "started"]


@dataclass(frozen=True)
class Started:
    """An answer that has begun: the first text (empty when the answer is), the rest, and where it comes from.

    Iterating `rest` raises the SDK's errors; so does what makes a `Started`.
    """

    first: str
    rest: Generator[str, None, None]
    at: Connection


@dataclass(frozen=True)
class StartedAsync:
    """`Started` for asyncio."""

    first: str
    rest: AsyncGenerator[str, None]
    at: Connection


def started(at: Connection, question: Question) -> Started:
    """Ask, and wait for the first text."""
    rest = _texts(at, question)
    return Started(next(rest, ""), rest, at)


def _texts(at: Connection, question: Question) -> Generator[str, None, None]:
    ended = False
    with at.sdk.chat.completions.create(stream=True, **question.arguments(at.outputs)) as stream:
        for chunk in stream:
            text, ended = _read(chunk, ended)
            if text:
                yield text
    _require_end(ended, at)


async def astarted(at: Connection, question: Question) -> StartedAsync:
    """`started` for asyncio."""
    rest = _atexts(at, question)
    return StartedAsync(await anext(rest, ""), rest, at)


async def _atexts(at: Connection, question: Question) -> AsyncGenerator[str, None]:
    ended = False
    arguments = question.arguments(at.outputs)
    async with await at.async_sdk().chat.completions.create(stream=True, **arguments) as stream:
        async for chunk in stream:
            text, ended = _read(chunk, ended)
            if text:
                yield text
    _require_end(ended, at)


def _read(chunk: ChatCompletionChunk, ended: bool) -> tuple[str, bool]:
    """The chunk's text, and whether the answer has said by now why it ends."""
    if not chunk.choices:
        return "", ended
    choice = chunk.choices[0]
    return choice.delta.content or "", ended or choice.finish_reason is not None


def _require_end(ended: bool, at: Connection) -> None:
    """A server that dies may end the stream as if it were whole; only a finish reason says that it is."""
    from takeover.client._errors import broken_off

    if not ended:
        raise broken_off(at.outputs, "The stream ended without a finish reason.")
