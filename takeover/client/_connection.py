"""The OpenAI SDK set up for one state of the outputs."""

from __future__ import annotations

import asyncio
import ipaddress
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from takeover.errors import Refused
from takeover.outputs import EndpointOutputs

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

__all__ = ["Connection"]

SDK = TypeVar("SDK", "OpenAI", "AsyncOpenAI")
_CONNECT_TIMEOUT_S = 5.0


class Connection:
    """Where to ask now. The SDK's clients are made on first use and keep their connections open."""

    def __init__(self, outputs: EndpointOutputs, *, timeout_s: float, max_retries: int) -> None:
        if outputs.protocol not in ("openai", "sagemaker"):
            raise Refused(
                f"the protocol {outputs.protocol} of {outputs.provider} is not built yet",
                why="This client speaks openai and sagemaker.",
                fix="Ask the endpoint with the vendor's own SDK, or use a tier that speaks openai.",
            )
        self.outputs = outputs
        self._timeout_s = timeout_s
        self._max_retries = max_retries
        self._by_loop: dict[asyncio.AbstractEventLoop, AsyncOpenAI] = {}

    def changed_to(self, outputs: EndpointOutputs) -> Connection:
        """A connection for newer outputs; it goes on with the same sockets where address and key have stayed."""
        newer = Connection(outputs, timeout_s=self._timeout_s, max_retries=self._max_retries)
        if (outputs.url, outputs.api_key) == (self.outputs.url, self.outputs.api_key):
            newer._by_loop = self._by_loop
            vars(newer).update({name: made for name, made in vars(self).items() if name == "sdk"})
        return newer

    @cached_property
    def sdk(self) -> OpenAI:
        import openai

        http = openai.DefaultHttpxClient(trust_env=False) if self._is_loopback() else None
        if self.outputs.protocol == "sagemaker":
            from takeover.client._sagemaker import http_client

            http = http_client(self.outputs, trust_env=not self._is_loopback())
        return _without_account(openai.OpenAI(http_client=http, **self._arguments()))

    def async_sdk(self) -> AsyncOpenAI:
        """One client for each event loop: its sockets belong to the loop that opened them."""
        loop = asyncio.get_running_loop()
        if loop not in self._by_loop:
            for ended in [each for each in self._by_loop if each.is_closed()]:
                del self._by_loop[ended]
            self._by_loop[loop] = self.new_async_sdk()
        return self._by_loop[loop]

    def new_async_sdk(self) -> AsyncOpenAI:
        import openai

        http = openai.DefaultAsyncHttpxClient(trust_env=False) if self._is_loopback() else None
        if self.outputs.protocol == "sagemaker":
            from takeover.client._sagemaker import async_http_client

            http = async_http_client(self.outputs, trust_env=not self._is_loopback())
        return _without_account(openai.AsyncOpenAI(http_client=http, **self._arguments()))

    def close(self) -> None:
        """Close the sockets of the synchronous client."""
        made = vars(self).pop("sdk", None)
        if made is not None:
            made.close()

    async def aclose(self) -> None:
        """Close the sockets of this loop's client."""
        made = self._by_loop.pop(asyncio.get_running_loop(), None)
        if made is not None:
            await made.close()

    def _arguments(self) -> dict[str, Any]:
        import openai

        key = self.outputs.api_key.get_secret_value() if self.outputs.api_key else "none-is-asked-for"
        # A fragment is for our own transport, and no part of an address.
        url = self.outputs.url.partition("#")[0]
        # The outputs hold the base URL; a bare address gets the path that OpenAI-style servers have.
        base_url = url if urlsplit(url).path.strip("/") else url.rstrip("/") + "/v1"
        timeout = openai.Timeout(self._timeout_s, connect=min(self._timeout_s, _CONNECT_TIMEOUT_S))
        return {"base_url": base_url, "api_key": key, "timeout": timeout, "max_retries": self._max_retries}

    def _is_loopback(self) -> bool:
        """A proxy from the environment cannot reach this machine's own addresses."""
        host = urlsplit(self.outputs.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


def _without_account(sdk: SDK) -> SDK:
    """The SDK takes OPENAI_ORG_ID and OPENAI_PROJECT_ID from the environment; they are nobody else's business."""
    sdk.organization = None
    sdk.project = None
    return sdk
