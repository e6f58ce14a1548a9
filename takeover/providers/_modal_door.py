"""The endpoint's own address: is it awake, what does it serve, what did its start take. Over HTTP, with its key."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from takeover.errors import ColdStart, NotReady, TakeoverError, VendorError
from takeover.providers._http import Request, Response, error_of, json_of, send
from takeover.providers._openai import ServedAdapter, Server, build_models, build_question, parse_adapters

__all__ = ["Door", "cold_start_ms", "require_awake", "served"]

# A request to a cold app waits there; Modal answers 303 after 150 s (modal.com/docs/guide/webhook-timeouts.md).
_ONE_WAIT_S = 140.0
_PAUSE_S = 1.0
_QUICK_S = 10.0


@dataclass(frozen=True)
class Door:
    """An endpoint by its address. `last_words` reads the end of its log."""

    server: Server
    last_words: Callable[[], str]

    async def wait_serving(self, models: Sequence[str], timeout_s: float, say: Callable[[str], None]) -> None:
        """Return when a container answers that serves all of `models`; one of the version before may answer first.

        VendorError with its last words when it dies while starting; NotReady when the time is up.
        """
        give_up_at, asked_ms = time.monotonic() + timeout_s, round(time.time() * 1000)
        path = f"/takeover/cold-start?asked={asked_ms}"
        wake = self.server.request("GET", path, timeout_s=max(_PAUSE_S, min(_ONE_WAIT_S, timeout_s)))
        while not (await self._is_awake(wake) and await self._serves(models)):
            if time.monotonic() > give_up_at:
                why = await asyncio.to_thread(self.last_words)
                raise NotReady(f"{self.server.called} was not ready within {timeout_s:g} s", why=why)
            say("waiting for the first container")
            await asyncio.sleep(_PAUSE_S)

    async def _is_awake(self, request: Request) -> bool:
        """False for what only means not yet: nobody took the call in time, or a container still starts."""
        try:
            response = await send(request)
        except NotReady:
            return False
        if response.status in {303, 429, 503}:
            return False
        if response.status >= 500:
            raise await self._died(response)
        json_of(response, request)
        return True

    async def _serves(self, models: Sequence[str]) -> bool:
        adapters, _ = await served(self.server)
        return set(models) <= {adapter.name for adapter in adapters}

    async def ask(self, model: str) -> None:
        """A first question; VendorError when the adapter does not answer it."""
        request = build_question(self.server, model)
        error = error_of(await send(request), request)
        if error is not None:
            raise VendorError(f"{model} was deployed and does not answer", why=f"{error.happened}: {error.why}")

    async def _died(self, response: Response) -> TakeoverError:
        words = await asyncio.to_thread(self.last_words)
        return VendorError(
            f"{self.server.called} ended while it started",
            why=f"HTTP {response.status}. Its last lines on Modal:\n{words or 'none'}",
            fix="Mend what they name and deploy again; `modal app rollback` puts the version before in its place.",
        )


def require_awake(response: Response, called: str) -> None:
    """Raise ColdStart for Modal's 303, which says that the answer is not there yet."""
    if response.status == 303:
        raise ColdStart(
            f"{called} is still starting",
            retry_after_s=5,
            why="Modal holds a request for 150 s and no longer.",
            fix="Ask again in a moment.",
        )


async def served(server: Server) -> tuple[tuple[ServedAdapter, ...], str | None]:
    """The adapters that a running container serves, and its base."""
    request = build_models(server)
    answer = json_of(await send(request), request)
    bases = [entry["id"] for entry in answer.get("data", []) if isinstance(entry, dict) and not entry.get("parent")]
    return parse_adapters(answer), str(bases[0]) if bases else None


async def cold_start_ms(server: Server) -> int | None:
    """What the start of the container that answers took, as it measured it; None when it does not tell."""
    request = server.request("GET", "/takeover/cold-start", timeout_s=_QUICK_S)
    try:
        told: Any = json_of(await send(request), request).get("measuredMs")
    except TakeoverError:
        return None
    return told if isinstance(told, int) else None
