"""The replicas of a cluster that somebody else runs: which they are, and what each of them serves.

One address may stand for one server or for several. `resolve` says so: `none`, it is one (and an address that turns out
to be several is refused, because half of the requests would miss the adapter); `dns`, each A record of the host is one;
`balancer`, it is several that are reached in turn, so a call is repeated until enough answers in a row agree.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from takeover.errors import AuthError, Refused, TakeoverError
from takeover.providers._http import Patience, Request, Response, json_of, send_patiently
from takeover.providers._openai import ServedBase, Server, build_models, parse_adapters, parse_bases
from takeover.providers._vllm_options import ADMIN_KEY, KEY, Cluster, Engine, engine_of
from takeover.settings import DedicatedVllmOptions

__all__ = ["Fleet", "View", "call", "find_fleet", "look", "look_at_all", "told"]


@dataclass(frozen=True)
class Fleet:
    """The servers, each reached by itself, and how to speak with them.

    `calls` is how many answers in a row must agree: 1 where an address surely is one server. `is_balanced` is for one
    address that is several.
    """

    servers: tuple[Server, ...]
    engine: Engine
    patience: Patience
    calls: int = 1
    is_balanced: bool = False


@dataclass(frozen=True)
class View:
    """What one server serves: adapter -> the path it was loaded from, where all answers agreed.

    `seen` are those that any answer had; where it has more, the address is several servers. `digests` are what our own
    server tells of them.
    """

    server: Server
    bases: tuple[ServedBase, ...]
    adapters: Mapping[str, str]
    seen: Mapping[str, str]
    digests: Mapping[str, str] = field(default_factory=dict)


async def find_fleet(cluster: Cluster, options: DedicatedVllmOptions, patience: Patience) -> Fleet:
    """The replicas as the options say."""
    engine = engine_of(options)
    if options.replica_urls:
        roots = [url.rstrip("/").removesuffix("/v1") for url in options.replica_urls]
        return Fleet(tuple(cluster.server(engine, root) for root in roots), engine, patience)
    if options.resolve == "dns":
        roots = await _resolved(cluster.root)
        return Fleet(tuple(cluster.server(engine, root) for root in roots), engine, patience)
    servers = (cluster.server(engine),)
    return Fleet(servers, engine, patience, options.agreements, is_balanced=options.resolve == "balancer")


async def _resolved(root: str) -> list[str]:
    parts = urlsplit(root)
    if parts.scheme == "https":
        raise Refused(
            "takeover:dedicated-vllm.resolve is dns, but VLLM_CLUSTER_URL is https",
            why="A certificate names a host, and the replicas would be asked by their numbers.",
            fix="Name them in takeover:dedicated-vllm.replicaUrls, or use the cluster's inner address with http.",
            where="takeover:dedicated-vllm.resolve",
        )
    host, port = parts.hostname or "", parts.port or 80
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return [root]  # asking it tells why
    hosts = sorted({str(address[0]) for *_, address in found})
    return [f"http://{f'[{each}]' if ':' in each else each}:{port}{parts.path}" for each in hosts]


async def call(fleet: Fleet, request: Request) -> Response:
    return await send_patiently(request, fleet.patience)


def told(error: TakeoverError) -> TakeoverError:
    """A wrong key with the variable to set."""
    if isinstance(error, AuthError):
        return AuthError(
            error.happened,
            why=error.why,
            fix=f"Set {KEY} to the server's key (and {ADMIN_KEY}, where loading needs another one).",
        )
    return error


async def look(fleet: Fleet, server: Server) -> View:
    """What a server serves, by `fleet.calls` answers."""
    answers: list[Mapping[str, str]] = []
    bases: tuple[ServedBase, ...] = ()
    digests: dict[str, str] = {}
    for _ in range(fleet.calls):
        request = build_models(server)
        answer = json_of(await call(fleet, request), request)
        bases = parse_bases(answer)
        adapters = [adapter for adapter in parse_adapters(answer) if not adapter.retiring]
        answers.append({adapter.name: adapter.root for adapter in adapters})
        digests |= {adapter.name: adapter.digest for adapter in adapters if adapter.digest}
    agreed = {name: root for name, root in answers[0].items() if all(each.get(name) == root for each in answers)}
    seen = {name: root for each in answers for name, root in each.items()}
    return View(server, bases, agreed, seen, digests)


async def look_at_all(fleet: Fleet) -> Sequence[View | TakeoverError]:
    """One view for each server, in order; in place of it the error where a server cannot be asked."""

    async def one(server: Server) -> View | TakeoverError:
        try:
            return await look(fleet, server)
        except TakeoverError as error:
            return told(error)

    return await asyncio.gather(*(one(server) for server in fleet.servers))
