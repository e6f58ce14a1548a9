"""A way out for OpenAI-style requests, to a SageMaker endpoint: rewritten and signed, and the answers turned back.

With it the OpenAI SDK speaks to SageMaker as to any other server; nothing else has to know. httpx2 is what that SDK
is built on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import httpx2 as httpx

from takeover.sagemaker.credentials import Signer
from takeover.sagemaker.names import Address
from takeover.sagemaker.runtime import Verdict, build_invocation, listed_models, turned_failure

__all__ = ["AsyncSageMakerTransport", "SageMakerTransport"]


class _Turning:
    """What both share: the request as SageMaker takes it, and its answer as OpenAI gives it."""

    def __init__(self, address: Address, signer: Signer, served: Sequence[str]) -> None:
        self._address = address
        self._signer = signer
        self._served = tuple(served)

    def _here(self, request: httpx.Request) -> httpx.Response | None:
        """What needs no call."""
        if request.url.path.endswith("/models"):
            return httpx.Response(200, json=listed_models(self._served), request=request)
        if not request.url.path.endswith(("/chat/completions", "/completions")):
            said = Verdict(404, "not_found", f"SageMaker has nothing like {request.url.path}")
            return httpx.Response(404, json=said.to_json(), request=request)
        return None

    def _turned(self, request: httpx.Request) -> httpx.Request:
        invocation = build_invocation(self._address, json.loads(request.content))
        headers = self._signer.signed(invocation.url, invocation.headers, invocation.body)
        return httpx.Request(
            "POST", invocation.url, headers=headers, content=invocation.body, extensions=request.extensions
        )

    def _failure(self, response: httpx.Response) -> httpx.Response:
        """A read answer with a status of 300 and above."""
        answer = turned_failure(response.status_code, response.headers, self._signer.hidden(response.text))
        # Nothing is followed: a signature is for one address.
        headers = {name: value for name, value in answer.headers.items() if name != "location"}
        return httpx.Response(answer.status, headers=headers, content=answer.body)


class SageMakerTransport(httpx.BaseTransport, _Turning):
    """For httpx.Client, so for openai.OpenAI."""

    def __init__(self, address: Address, signer: Signer, served: Sequence[str], *, trust_env: bool = True) -> None:
        _Turning.__init__(self, address, signer, served)
        self._client = httpx.Client(trust_env=trust_env, follow_redirects=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        if (answer := self._here(request)) is not None:
            return answer
        response = self._client.send(self._turned(request), stream=True)
        if response.status_code >= 300:
            response.read()
            response.close()
            return self._failure(response)
        if not _is_events(response):
            return response
        return httpx.Response(200, headers=_SSE, stream=_Payloads(response))

    def close(self) -> None:
        self._client.close()


class AsyncSageMakerTransport(httpx.AsyncBaseTransport, _Turning):
    """For httpx.AsyncClient, so for openai.AsyncOpenAI."""

    def __init__(self, address: Address, signer: Signer, served: Sequence[str], *, trust_env: bool = True) -> None:
        _Turning.__init__(self, address, signer, served)
        self._client = httpx.AsyncClient(trust_env=trust_env, follow_redirects=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        if (answer := self._here(request)) is not None:
            return answer
        turned = await asyncio.to_thread(self._turned, request)
        response = await self._client.send(turned, stream=True)
        if response.status_code >= 300:
            await response.aread()
            await response.aclose()
            return self._failure(response)
        if not _is_events(response):
            return response
        return httpx.Response(200, headers=_SSE, stream=_AsyncPayloads(response))

    async def aclose(self) -> None:
        await self._client.aclose()


_SSE = {"content-type": "text/event-stream"}


def _is_events(response: httpx.Response) -> bool:
    return str(response.headers.get("content-type", "")).startswith("application/vnd.amazon.eventstream")


class _Events:
    """The pieces of an event stream, as the container wrote them; an error among them becomes OpenAI's."""

    def __init__(self) -> None:
        from botocore.eventstream import EventStreamBuffer

        self._buffer: Any = EventStreamBuffer()

    def pieces(self, data: bytes) -> Iterator[bytes]:
        self._buffer.add_data(data)
        for event in self._buffer:
            headers = {name.lstrip(":"): str(value) for name, value in event.headers.items()}
            if headers.get("message-type") == "event":
                yield bytes(event.payload)
            else:
                yield _broken(headers, bytes(event.payload))


def _broken(headers: dict[str, str], payload: bytes) -> bytes:
    code = headers.get("exception-type") or headers.get("error-code") or "ModelStreamError"
    said = headers.get("error-message") or payload.decode("utf-8", "replace")
    return f"data: {json.dumps(Verdict(500, code, said).to_json())}\n\n".encode()


class _Payloads(httpx.SyncByteStream):
    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        events = _Events()
        for data in self._response.iter_raw():
            yield from events.pieces(data)

    def close(self) -> None:
        self._response.close()


class _AsyncPayloads(httpx.AsyncByteStream):
    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        events = _Events()
        async for data in self._response.aiter_raw():
            for piece in events.pieces(data):
                yield piece

    async def aclose(self) -> None:
        await self._response.aclose()
