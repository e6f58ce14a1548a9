"""The client that an application uses: it finds the endpoint in the outputs, and again when it has moved."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypedDict, TypeVar, Unpack

from takeover.client._connection import Connection
from takeover.client._reply import Messages, Question, Reply, UnknownAdapter, build_question, parse_reply
from takeover.client._stream import astarted, started
from takeover.client.sources import Source, StackSource, env_source, file_source
from takeover.errors import TakeoverError
from takeover.outputs import EndpointOutputs

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

__all__ = ["Client"]

T = TypeVar("T")
# How long a request that failed waits for the end of an update of its stack, and how often it looks.
_UPDATE_PATIENCE_S = 60.0
_UPDATE_PAUSE_S = 0.2


class Limits(TypedDict, total=False):
    """`timeout_s`: for one whole answer; `max_retries`: of the SDK, after 429, 5xx and a lost connection."""

    timeout_s: float
    max_retries: int


class Client:
    """Asks one endpoint, wherever it runs. Safe to share between threads.

    When nothing answers, the key is not accepted, the model is gone or the server shuts down, it reads its outputs
    again, once; if they have changed, it asks again there. So a change of adapter or of tier loses no request. While
    an update of the stack runs it waits for what that writes, for at most a minute. A stream is asked again only
    before its first text. 429 and 5xx are tried again by the OpenAI SDK (`max_retries`).

    Raises `takeover.errors`: Refused (a bad request), AuthError, QuotaError, RateLimited, NotReady, VendorError.
    """

    def __init__(self, source: Source, *, timeout_s: float = 600.0, max_retries: int = 2) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._read_at = time.monotonic()
        self._connection = Connection(source(), timeout_s=timeout_s, max_retries=max_retries)

    @classmethod
    def from_stack(cls, stack: str, *, project_dir: Path | str | None = None, **settings: Unpack[Limits]) -> Self:
        """The endpoint of a Pulumi stack; `project_dir` is the folder with Pulumi.yaml (default: found from here)."""
        return cls(StackSource(stack, Path(project_dir) if project_dir is not None else None), **settings)

    @classmethod
    def from_file(cls, path: Path | str, **settings: Unpack[Limits]) -> Self:
        """The endpoint of a file, as `takeover outputs --json --show-secrets` writes it."""
        return cls(file_source(path), **settings)

    @classmethod
    def from_env(cls, var: str = "TAKEOVER_ENDPOINT", **settings: Unpack[Limits]) -> Self:
        """The endpoint of an environment variable that holds the same JSON text."""
        return cls(env_source(var), **settings)

    def __repr__(self) -> str:
        outputs = self.outputs
        return f"Client(provider={outputs.provider!r}, url={outputs.url!r}, model={outputs.model!r})"

    @property
    def outputs(self) -> EndpointOutputs:
        """The outputs as they were read last."""
        return self._connection.outputs

    def close(self) -> None:
        """Close the open connections; the next call opens new ones. After `achat` and `astream`: `await aclose()`."""
        self._connection.close()

    async def aclose(self) -> None:
        """`close` for this event loop's connections."""
        await self._connection.aclose()

    def openai(self) -> OpenAI:
        """The OpenAI SDK's client for this endpoint, as it is now; the model's name is `client.outputs.model`."""
        return self._connection.sdk

    def async_openai(self) -> AsyncOpenAI:
        """The same for asyncio; a new one at each call."""
        return self._connection.new_async_sdk()

    def chat(self, messages: Messages, *, adapter: str | None = None, **options: Any) -> Reply:
        """One answer to a text, or to a list of OpenAI's messages.

        `adapter` is a name of `outputs.adapters` (default: the first); `options` are those of OpenAI's chat request.
        """
        question = build_question(messages, adapter, options)
        return self._asked(lambda at: parse_reply(at.sdk.chat.completions.create(**question.arguments(at.outputs))))

    def stream(self, messages: Messages, *, adapter: str | None = None, **options: Any) -> Generator[str, None, None]:
        """The same answer in pieces, as they come; asked when the first one is wanted. Closing it hangs up."""
        return self._stream(build_question(messages, adapter, options))

    async def achat(self, messages: Messages, *, adapter: str | None = None, **options: Any) -> Reply:
        """`chat` for asyncio."""
        question = build_question(messages, adapter, options)

        async def ask(at: Connection) -> Reply:
            return parse_reply(await at.async_sdk().chat.completions.create(**question.arguments(at.outputs)))

        return await self._asked_async(ask)

    def astream(self, messages: Messages, *, adapter: str | None = None, **options: Any) -> AsyncGenerator[str, None]:
        """`stream` for asyncio."""
        return self._astream(build_question(messages, adapter, options))

    def _stream(self, question: Question) -> Generator[str, None, None]:
        from takeover.client._errors import our_errors

        answer = self._asked(lambda at: started(at, question))
        with closing(answer.rest), our_errors(answer.at.outputs, begun=True):
            if answer.first:
                yield answer.first
            yield from answer.rest

    async def _astream(self, question: Question) -> AsyncGenerator[str, None]:
        from takeover.client._errors import our_errors

        answer = await self._asked_async(lambda at: astarted(at, question))
        async with aclosing(answer.rest):
            with our_errors(answer.at.outputs, begun=True):
                if answer.first:
                    yield answer.first
                async for text in answer.rest:
                    yield text

    def _asked(self, ask: Callable[[Connection], T]) -> T:
        from openai import OpenAIError

        from takeover.client._errors import our_errors

        connection = self._connection
        try:
            return ask(connection)
        except (OpenAIError, UnknownAdapter) as error:
            newer = self._newer(connection, error, time.monotonic())
            if newer is None:
                raise _ours(error, connection) from None
        with our_errors(newer.outputs):
            return ask(newer)

    async def _asked_async(self, ask: Callable[[Connection], Awaitable[T]]) -> T:
        from openai import OpenAIError

        from takeover.client._errors import our_errors

        connection = self._connection
        try:
            return await ask(connection)
        except (OpenAIError, UnknownAdapter) as error:
            newer = await asyncio.to_thread(self._newer, connection, error, time.monotonic())
            if newer is None:
                raise _ours(error, connection) from None
        with our_errors(newer.outputs):
            return await ask(newer)

    def _newer(self, used: Connection, error: Exception, failed_at: float) -> Connection | None:
        """Where to ask again, or None. Of many callers that fail at once, one reads the outputs for all."""
        from takeover.client._errors import may_have_moved

        if not may_have_moved(error):
            return None
        with self._lock:
            if self._connection is used and self._read_at < failed_at:
                self._read_again()
            return None if self._connection is used else self._connection

    def _read_again(self) -> None:
        """Once; while an update of the stack runs, until it has changed them.

        The engine may take an endpoint down before it writes the outputs that name the next one.
        """
        give_up_at = time.monotonic() + _UPDATE_PATIENCE_S
        while True:
            goes_on = isinstance(self._source, StackSource) and self._source.is_changing()
            self._read_at = time.monotonic()
            try:
                outputs = self._source()
            except TakeoverError:
                # The caller learns the error that it met, not that the outputs are gone too.
                return
            if outputs != self._connection.outputs:
                self._connection = self._connection.changed_to(outputs)
                return
            if not goes_on or time.monotonic() > give_up_at:
                return
            time.sleep(_UPDATE_PAUSE_S)


def _ours(error: Exception, connection: Connection) -> TakeoverError:
    from takeover.client._errors import translated

    return error if isinstance(error, TakeoverError) else translated(error, connection.outputs)
