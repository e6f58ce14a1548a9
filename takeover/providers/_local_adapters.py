"""The adapters of a running server, brought to what is wanted without losing a request."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

from takeover.errors import Refused, TakeoverError, VendorError
from takeover.providers._base import TrainedModel
from takeover.providers._http import error_of, json_of, send
from takeover.providers._openai import (
    ServedAdapter,
    Server,
    build_load,
    build_models,
    build_question,
    build_unload,
    parse_adapters,
)
from takeover.providers._progress import progress

__all__ = ["list_adapters", "retire", "serve_exactly"]


async def list_adapters(server: Server) -> tuple[ServedAdapter, ...]:
    request = build_models(server)
    return parse_adapters(json_of(await send(request), request))


async def serve_exactly(
    server: Server,
    models: Sequence[TrainedModel],
    *,
    ask_all: bool,
    ours: Collection[str] | None = None,
    drain_s: int | None,
) -> None:
    """Load what is missing, ask each new one a question, and only then retire what is not wanted any more.

    So the old version answers until the new one has. `ask_all` is for a server that was just started. `ours` limits
    what may be retired, for a server that others use too; None is all.
    """
    wanted = [model.served_name for model in models]
    served = {adapter.name for adapter in await list_adapters(server) if not adapter.retiring}
    new = [model for model in models if model.served_name not in served]
    try:
        for model in new:
            await _load(server, model)
        for model in models if ask_all else new:
            await _ask(server, model.served_name)
    except TakeoverError:
        with suppress(TakeoverError):
            await retire(server, [model.served_name for model in new], drain_s=None)
        raise
    stale = [name for name in served if name not in wanted and (ours is None or name in ours)]
    await retire(server, sorted(stale), drain_s=drain_s)


async def _load(server: Server, model: TrainedModel) -> None:
    """vLLM answers 400 for what it has loaded already; what it serves then decides."""
    progress("load", f"loading {model.served_name}")
    request = build_load(server, model.served_name, model.path)
    error = error_of(await send(request), request)
    if error is None:
        return
    if model.served_name not in {adapter.name for adapter in await list_adapters(server) if not adapter.retiring}:
        raise error


async def _ask(server: Server, name: str) -> None:
    progress("ask", f"asking {name} a first question")
    request = build_question(server, name)
    error = error_of(await send(request), request)
    if error is not None:
        raise VendorError(
            f"{name} was loaded and does not answer", why=f"{error.happened}: {error.why}", fix="See the server's log."
        )


async def retire(server: Server, names: Sequence[str], *, drain_s: int | None) -> None:
    """Unload these; what is gone already is a success."""
    for name in names:
        progress("retire", f"retiring {name}")
        request = build_unload(server, name, drain_s)
        error = error_of(await send(request), request)
        if error is not None and not isinstance(error, Refused):
            raise error
