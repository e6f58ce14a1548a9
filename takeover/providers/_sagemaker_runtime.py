"""A question to an endpoint, by the sender that all tiers share, over a way out that signs for AWS."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx

from takeover.errors import ColdStart, NotReady
from takeover.providers._http import Request, json_of, send
from takeover.sagemaker.credentials import Signer
from takeover.sagemaker.names import Address
from takeover.sagemaker.runtime import build_invocation, turned_failure

__all__ = ["ask"]

# SageMaker's own bound for an answer that is not streamed is 60 s; AWS's SDKs are told 70.
_TIMEOUT_S = 70


@cache
def _certificates() -> ssl.SSLContext:
    """Read once a process."""
    return httpx.create_ssl_context()


class _Signed(httpx.AsyncBaseTransport):
    def __init__(self, address: Address, signer: Signer) -> None:
        self._address = address
        self._signer = signer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        invocation = build_invocation(self._address, json.loads(request.content))
        headers = await asyncio.to_thread(self._signer.signed, invocation.url, invocation.headers, invocation.body)
        secure = invocation.url.startswith("https:")
        verify = _certificates() if secure else False
        async with httpx.AsyncClient(trust_env=secure, verify=verify, follow_redirects=False) as client:
            answer = await client.post(invocation.url, headers=headers, content=invocation.body, timeout=_TIMEOUT_S)
        if answer.status_code < 300:
            return httpx.Response(answer.status_code, content=answer.content)
        told = turned_failure(answer.status_code, answer.headers, self._signer.hidden(answer.text))
        return httpx.Response(told.status, headers=dict(told.headers), content=told.body)


async def ask(address: Address, region: str | None, question: Mapping[str, Any]) -> dict[str, Any]:
    """The answer's body. ColdStart when nothing runs and it is being woken, else what every tier's failures are."""
    signer = await asyncio.to_thread(Signer, address.region or region)
    request = Request("POST", address.root, f"the endpoint {address.endpoint}", body=question, timeout_s=_TIMEOUT_S)
    response = await send(request, transport=_Signed(address, signer))
    try:
        return json_of(response, request)
    except NotReady as error:
        if '"cold_start"' not in response.text:
            raise
        raise ColdStart(
            f"{address.endpoint} is at zero, and is being woken",
            eta_s=600,
            why=error.why,
            fix="Ask again in five to ten minutes; SageMaker keeps no call waiting meanwhile.",
        ) from None
