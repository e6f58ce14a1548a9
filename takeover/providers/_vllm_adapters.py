"""Adapters on the replicas of a cluster: loaded, asked, unloaded, each confirmed by what the replica itself lists.

vLLM's answers are those of 0.32, recorded from the real server on 2026-11-24 (tests/dedicated_vllm/test_real_vllm.py
asks for them again); SGLang's are from its source (_vllm_options.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from takeover.errors import NotReady, Refused, TakeoverError, VendorError
from takeover.providers._base import TrainedModel
from takeover.providers._http import Request, Response, error_of, json_of
from takeover.providers._openai import (
    Server,
    build_load,
    build_models,
    build_question,
    build_unload,
    parse_adapters,
    parse_completion,
)
from takeover.providers._progress import progress
from takeover.providers._vllm_replicas import Fleet, call, told

__all__ = ["Wanted", "ask", "load", "unload"]

# Of telling and looking; behind a balancer each may miss a replica.
_ROUNDS = 10


@dataclass(frozen=True)
class Wanted:
    """An adapter to be served: the name that it is loaded under, and where the server finds its files."""

    model: TrainedModel
    name: str
    path: str


async def on_each(servers: Sequence[Server], work: Callable[[Server], Awaitable[None]]) -> None:
    """The work on all servers at once; the first failure is raised when all are done."""
    done = await asyncio.gather(*(work(server) for server in servers), return_exceptions=True)
    for failure in done:
        if isinstance(failure, BaseException):
            raise told(failure) if isinstance(failure, TakeoverError) else failure


async def load(fleet: Fleet, servers: Sequence[Server], wanted: Wanted) -> None:
    """Make these servers list the adapter; there may be none that lacks it."""
    progress("load", f"loading {wanted.name} on {_count(servers)}" if servers else f"{wanted.name} is loaded")
    await on_each(servers, lambda server: _load(fleet, server, wanted))


async def _load(fleet: Fleet, server: Server, wanted: Wanted) -> None:
    """Told as often in a row as answers must agree, not told and looked at by turns: a balancer that has two servers
    and gives each its turn would have one of them told and the other one looked at for ever."""
    for _ in range(_ROUNDS if fleet.is_balanced else 1):
        for _ in range(fleet.calls if fleet.is_balanced else 1):
            request = build_load(server, wanted.name, wanted.path)
            _raise_unless_loaded(fleet, await call(fleet, request), request, wanted)
        listed = [wanted.name in names for names in await _lists(fleet, server)]
        if all(listed):
            return
    raise _several(server) if any(listed) and not fleet.is_balanced else _never(server, wanted.name)


def _raise_unless_loaded(fleet: Fleet, response: Response, request: Request, wanted: Wanted) -> None:
    """What is loaded already is answered with 400 (vLLM, SGLang); the list that is asked next decides."""
    error = error_of(response, request)
    if error is not None and not (response.status == 400 and "already" in response.text):
        raise _explained(fleet, error, response, request, wanted)


def _explained(
    fleet: Fleet, error: TakeoverError, response: Response, request: Request, wanted: Wanted
) -> TakeoverError:
    """The server's words, with what to do about them."""
    words, start = response.text, fleet.engine.start_words(wanted.model.rank)
    if "No adapter found for" in words:
        return Refused(
            f"{request.to} does not see the files of {wanted.name}",
            why=error.why,
            fix="Name a folder that both sides see in takeover:dedicated-vllm.sharedPath, and in sharedPathThere how "
            "the server sees it; or let it pull the files (adapterFiles: server-pulls).",
            where="takeover:dedicated-vllm.sharedPath",
        )
    if "max_lora_rank" in words or "max_loras_rank" in words:
        return Refused(
            f"{request.to} takes no adapter of rank {wanted.model.rank}",
            why=error.why,
            fix=f"Start it with {start}; or train with a smaller rank.",
        )
    if response.status in {404, 405, 501} or "LoRA is not enabled" in words:
        return Refused(
            f"{request.to} takes no adapter at run time",
            why=error.why,
            fix=f"Start it with {start}. Whoever has its key may then load adapters: keep it to yourselves.",
        )
    return error


async def ask(fleet: Fleet, servers: Sequence[Server], wanted: Wanted) -> None:
    """One question to each server, and where an address is several, as many as must agree."""
    progress("ask", f"asking {wanted.name} a first question on {_count(servers)}")

    async def one(server: Server) -> None:
        for _ in range(fleet.calls if fleet.is_balanced else 1):
            request = build_question(server, fleet.engine.asked(wanted.name))
            try:
                parse_completion(json_of(await call(fleet, request), request))
            except (Refused, VendorError) as error:
                raise VendorError(
                    f"{wanted.name} was loaded and does not answer at {server.root}",
                    why=f"{error.happened}: {error.why}",
                    fix="See the server's log.",
                ) from None

    await on_each(servers, one)


async def unload(fleet: Fleet, servers: Sequence[Server], name: str) -> None:
    """Make these servers list it no more; what is gone already is a success. Running answers are not cut."""
    progress("retire", f"retiring {name} on {_count(servers)}")
    await on_each(servers, lambda server: _unload(fleet, server, name))


async def _unload(fleet: Fleet, server: Server, name: str) -> None:
    for _ in range(_ROUNDS):
        if not any(name in names for names in await _lists(fleet, server)):
            return
        for _ in range(fleet.calls if fleet.is_balanced else 1):
            request = build_unload(server, name, None)
            error = error_of(await call(fleet, request), request)
            # Behind a balancer the next one may not have it: the list decides.
            with suppress(Refused):
                if error is not None:
                    raise error
    raise NotReady(
        f"{server.called} still lists {name}",
        why="It was told to unload it, and did not.",
        fix="See its log, and run the same command again.",
    )


async def _lists(fleet: Fleet, server: Server) -> list[set[str]]:
    """The adapters that it lists, asked as often as answers must agree."""
    found = []
    for _ in range(fleet.calls):
        request = build_models(server)
        adapters = parse_adapters(json_of(await call(fleet, request), request))
        found.append({adapter.name for adapter in adapters if not adapter.retiring})
    return found


def _several(server: Server) -> Refused:
    return Refused(
        f"{server.root} is several servers behind one address",
        why="One of them listed the adapter and another one did not: half of the requests would miss it.",
        fix="Name them in takeover:dedicated-vllm.replicaUrls, or set resolve: dns (each A record is a replica), or "
        "resolve: balancer (they are reached in turn).",
        where="takeover:dedicated-vllm.resolve",
    )


def _never(server: Server, name: str) -> VendorError:
    return VendorError(
        f"{server.called} does not list {name}",
        why="It was told to load it, said yes, and does not list it.",
        fix="See its log.",
    )


def _count(servers: Sequence[Server]) -> str:
    return servers[0].root if len(servers) == 1 else f"{len(servers)} replicas"
