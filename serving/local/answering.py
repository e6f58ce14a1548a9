"""From a request to rows in the scheduler, and from their pieces to an answer."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from serving.local.answers import DONE, Kind, Shape, event, usage
from serving.local.asks import Ask, Finish, Piece
from serving.local.engine import Engine
from serving.local.errors import ApiError, error_body, unavailable
from serving.local.protocol import ChatRequest, CompletionRequest, StreamOptions, unknown_model
from serving.local.rows import Row
from serving.local.scheduler import Draining, QueueFull
from serving.local.shelf import Entry

__all__ = ["Ticket", "answer", "deliver_into", "submit"]

T = TypeVar("T")

_HUNG_UP = 499  # nginx's code for a client that closed the connection; nobody reads it
_FAILED = (500, "InternalServerError", "the answer could not be computed; the server's log says why")
_STOPPED = (503, "ServiceUnavailableError", "the server was stopped before the answer was complete")


class Ticket:
    """One request's rows, and its pieces on their way to the client."""

    def __init__(self, engine: Engine, rows: list[Row]) -> None:
        self.rows = rows
        self._engine = engine
        self._pieces: asyncio.Queue[tuple[int, Piece]] = asyncio.Queue()
        self._is_open = True
        for index, row in enumerate(rows):
            row.sink = partial(self._put, index)

    def _put(self, index: int, piece: Piece) -> None:
        self._pieces.put_nowait((index, piece))

    async def pieces(self) -> AsyncIterator[tuple[int, Piece]]:
        """(index of the prompt, piece) until every row has ended."""
        running = len(self.rows)
        while running:
            index, piece = await self._pieces.get()
            running -= piece.finish is not None
            yield index, piece

    def close(self) -> None:
        """Let go of everything; rows that have not ended stop costing before their next token."""
        if not self._is_open:
            return
        self._is_open = False
        self._engine.scheduler.cancel([row for row in self.rows if row.finish is None])

    @property
    def prompt_tokens(self) -> int:
        return sum(len(row.prompt) for row in self.rows)


def deliver_into(loop: asyncio.AbstractEventLoop, pieces: Iterable[tuple[Row, Piece]]) -> None:
    """Hand a step's pieces over to the event loop, all with one wake-up."""

    def hand_over() -> None:
        for row, piece in pieces:
            row.sink(piece)

    with suppress(RuntimeError):  # the loop is closed: nobody is left to hear it
        loop.call_soon_threadsafe(hand_over)


def submit(engine: Engine, body: ChatRequest | CompletionRequest) -> Ticket:
    """Check the request, queue its rows. ApiError 400, 404, 429 or 503 when it is not taken."""
    entry = _served(engine, body.model)
    body.require_served()
    rows = [_row(engine, body, prompt, entry) for prompt in _encode(engine, body)]
    if len(rows) > engine.limits.max_batch + engine.limits.max_queue:
        raise ApiError(400, "BadRequestError", f"{len(rows)} prompts in one request are more than the queue holds")
    ticket = Ticket(engine, rows)
    try:
        engine.scheduler.submit(rows)
    except QueueFull as full:
        ticket.close()
        headers = {"Retry-After": str(full.retry_after_s)}
        raise ApiError(429, "TooManyRequestsError", str(full), headers=headers) from None
    except Draining:
        ticket.close()
        raise unavailable("the server is stopping and takes no new requests", 1) from None
    return ticket


def _served(engine: Engine, name: str | None) -> Entry | None:
    """The adapter of that name; None stands for the base, which also answers where no name is given."""
    if name is None or name == engine.base_name:
        return None
    entry = engine.shelf.find(name)
    if entry is None:
        raise unknown_model(name)
    return entry


def _encode(engine: Engine, body: ChatRequest | CompletionRequest) -> list[tuple[int, ...]]:
    if isinstance(body, ChatRequest):
        messages = [message.for_template() for message in body.messages]
        opened, continued = body.add_generation_prompt, body.continue_final_message
        return [engine.encode_chat(messages, opened=opened, continued=continued, extra=body.chat_template_kwargs)]
    return [
        engine.encode_text(prompt, special=body.add_special_tokens) if isinstance(prompt, str) else tuple(prompt)
        for prompt in body.prompts()
    ]


def _row(engine: Engine, body: ChatRequest | CompletionRequest, prompt: tuple[int, ...], entry: Entry | None) -> Row:
    ask = Ask(
        prompt=prompt,
        max_tokens=engine.require_room(prompt, body.tokens_wanted()),
        sampling=body.sampling(engine.loaded.defaults),
        min_tokens=body.min_tokens,
        eos_ids=frozenset() if body.ignore_eos else engine.loaded.eos_ids,
        stop_ids=frozenset(body.stop_token_ids or ()),
        include_stop=body.include_stop_str_in_output,
        stream=bool(body.stream),
    )
    weights = entry.weights if entry is not None else None
    return engine.new_row(ask, weights, body.stop, skip_special=body.skip_special_tokens)


async def answer(engine: Engine, body: ChatRequest | CompletionRequest, request: Request) -> Response:
    """The whole answer, or the beginning of a stream."""
    kind: Kind = "chat" if isinstance(body, ChatRequest) else "completion"
    ticket = submit(engine, body)
    prefix = "chatcmpl" if kind == "chat" else "cmpl"
    shape = Shape(kind, f"{prefix}-{uuid.uuid4().hex}", body.model or engine.base_name, int(time.time()))
    if body.stream:
        return _Stream(_events(ticket, shape, body.usage_wanted), ticket)
    try:
        whole = await _unless_hung_up(_whole(ticket, shape), request.receive)
    finally:
        ticket.close()
    return whole or Response(status_code=_HUNG_UP)


async def _whole(ticket: Ticket, shape: Shape) -> Response:
    texts, finishes = [""] * len(ticket.rows), [Finish("error")] * len(ticket.rows)
    tokens = 0
    async for index, piece in ticket.pieces():
        texts[index] += piece.text
        if piece.finish is not None:
            finishes[index] = piece.finish
            tokens += piece.tokens
    failure = _failure(finishes)
    if failure is not None:
        return JSONResponse(failure, status_code=failure["error"]["code"])
    return JSONResponse(shape.whole(texts, finishes, usage(ticket.prompt_tokens, tokens)))


async def _unless_hung_up(work: Coroutine[Any, Any, T], receive: Receive) -> T | None:
    """Wait for the work, but no longer than the client does; None when it hung up first."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_hang_up(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        leaving.cancel()


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Stream(StreamingResponse):
    """Server-sent events; whatever ends them, even before the first one, lets go of the rows."""

    def __init__(self, events: AsyncIterator[str], ticket: Ticket) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        self._ticket = ticket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await _unless_hung_up(self.stream_response(send), receive)
        finally:
            self._ticket.close()


async def _events(ticket: Ticket, shape: Shape, wanted: StreamOptions) -> AsyncIterator[str]:
    counts = [0] * len(ticket.rows)
    prompt_tokens = ticket.prompt_tokens
    for body in shape.opening(len(ticket.rows)):
        yield event(body)
    async for index, piece in ticket.pieces():
        counts[index] = piece.tokens
        failure = _failure([piece.finish] if piece.finish else [])
        if failure is not None:
            yield event(failure)
            continue
        body = shape.chunk(index, piece)
        running = {"usage": usage(prompt_tokens, sum(counts))} if wanted.continuous_usage_stats else {}
        yield event({**body, **running})
    if wanted.include_usage:
        yield event(shape.usage_chunk(usage(prompt_tokens, sum(counts))))
    yield DONE


def _failure(finishes: Iterable[Finish]) -> dict[str, Any] | None:
    """The error body of an answer that did not come to its end."""
    reasons = {finish.reason for finish in finishes}
    if "error" in reasons:
        return error_body(*_FAILED)
    return error_body(*_STOPPED) if "abort" in reasons else None
