"""A deploy on servers of others: beside the old version, asked a question on each replica, taken back when it fails.

Applications learn of a new version only after the deploy has ended (the outputs change then), so the version before it
stays loaded. It goes with the first deploy that finds it unwanted for `drainSeconds`, and not asked for that long
where the server can tell; a refresh shows it as drift once it is due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from takeover.errors import Refusals, Refused, TakeoverError, VendorError
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.providers._http import send
from takeover.providers._openai import build_metrics
from takeover.providers._progress import progress
from takeover.providers._vllm_adapters import Wanted, ask, load, unload
from takeover.providers._vllm_files import require_pullable
from takeover.providers._vllm_idle import idle_seconds, server_time
from takeover.providers._vllm_place import Place, base_mistake
from takeover.providers._vllm_record import Record, Retired
from takeover.providers._vllm_replicas import Fleet, View, look_at_all

__all__ = ["due", "put_up", "seen_by"]


async def put_up(place: Place, models: tuple[TrainedModel, ...], spec: EndpointSpec, now: float) -> None:
    """Make every replica serve `models`. The caller holds the lock.

    The record is written first, so that a crash forgets nothing. What fails is taken back: what was served before goes
    on being served, and nothing else is left.
    """
    progress("look", f"looking at what {place.cluster.root} serves")
    views = seen_by(await look_at_all(place.fleet))
    wanted = [place.wanted(model) for model in models]
    Refusals.raise_if_any(f"{place.name} cannot be served there", _mistakes(place, views, wanted, spec))
    asked = replace(place, record=_record(place, wanted, spec, now))
    asked.note(_recorded(asked))
    progress("record", f"{place.name} is noted")
    if place.record is not None and place.record.root != place.cluster.root:
        left = ", ".join(sorted(place.names()))
        progress("moved", f"{place.record.root} goes on serving {left}: unload it there once nobody asks it any more")
    try:
        await _put(place, wanted)
        await _bring(asked, views, wanted)
    except TakeoverError:
        await _take_back(place, asked, views)
        raise
    await _retire(asked, now)


def _recorded(place: Place) -> Record:
    assert place.record is not None
    return place.record


def seen_by(looked: Sequence[View | TakeoverError]) -> list[View]:
    """The views; raises the first error: a replica that cannot be asked may come back without the adapter."""
    for each in looked:
        if isinstance(each, TakeoverError):
            raise each
    return [each for each in looked if isinstance(each, View)]


def _mistakes(place: Place, views: Sequence[View], wanted: Sequence[Wanted], spec: EndpointSpec) -> Iterator[Refused]:
    if len(views) < spec.min_replicas and not place.fleet.is_balanced:
        yield Refused(
            f"minReplicas is {spec.min_replicas}, but {len(views)} can be reached",
            fix="Name all of them in takeover:dedicated-vllm.replicaUrls, or lower minReplicas.",
            where="takeover:hosting.minReplicas",
        )
    for view in views:
        yield from base_mistake(view, spec.base, place.options.base_model)
        for each in wanted:
            root = view.seen.get(each.name)
            if root is not None and root != each.path and not place.is_ours(each.name, root):
                yield _taken(view, each.name, root)


def _taken(view: View, name: str, root: str) -> Refused:
    return Refused(
        f"{name} is taken at {view.server.root}",
        why=f"Somebody else loaded it there, from {root}; a server has one adapter of a name.",
        fix="Unload it there, or give your adapter another name.",
    )


def _record(place: Place, wanted: Sequence[Wanted], spec: EndpointSpec, now: float) -> Record:
    """What is wanted now, and what was before, with the time since when it is unwanted."""
    before = place.record
    names = {each.name for each in wanted}
    since = {each.name: min(each.since, now) for each in before.retired} if before else {}
    digests = {each.name: each.digest for each in before.retired} if before else {}
    digests |= {each.name: each.model.digest for each in place.current()}
    retired = tuple(
        Retired(name=name, digest=digest, since=since.get(name, now))
        for name, digest in sorted(digests.items())
        if name not in names
    )
    return Record(
        spec=spec,
        models=tuple(each.model for each in wanted),
        root=place.cluster.root,
        paths={**(before.paths if before else {}), **{each.name: each.path for each in wanted}},
        retired=retired,
    )


async def _put(place: Place, wanted: Sequence[Wanted]) -> None:
    """The files first: a server is told to load only what was verified where it will read it, as far as we see it."""
    for each in wanted:
        if place.shared is not None:
            progress("put", f"putting {each.name} into {place.shared.here}")
            await asyncio.to_thread(place.shared.put, each.model, each.name)
            continue
        progress("put", f"looking at {each.path}, which the servers will pull")
        if not await asyncio.to_thread(require_pullable, each.model, each.path):
            progress("put", f"{each.path} is a path of the servers': what lies there cannot be verified from here")


async def _bring(place: Place, views: Sequence[View], wanted: Sequence[Wanted]) -> None:
    servers = [view.server for view in views]
    for each in wanted:
        await load(place.fleet, [view.server for view in views if each.name not in view.adapters], each)
    progress("confirm", f"asking {len(servers)} what they list")
    for view in seen_by(await look_at_all(place.fleet)):
        _confirm(view, wanted)
    for each in wanted:
        await ask(place.fleet, servers, each)


def _confirm(view: View, wanted: Sequence[Wanted]) -> None:
    for each in wanted:
        if each.name not in view.adapters:
            raise VendorError(
                f"{view.server.root} does not list {each.name}",
                why="It listed it a moment ago: it was restarted, or the address is several servers.",
                fix="Run the same command again; takeover:dedicated-vllm.resolve is for several behind one address.",
            )
        if view.digests.get(each.name, each.model.digest) != each.model.digest:
            raise VendorError(
                f"{view.server.root} serves another content as {each.name}",
                why=f"It tells {view.digests[each.name]}, and {each.model.digest} was deployed.",
                fix="Unload it there, and deploy again.",
            )


async def _take_back(place: Place, asked: Place, views: Sequence[View]) -> None:
    """Undo what this deploy did; what cannot be undone stays in its record, and the next deploy or destroy finds it."""
    before = {name for view in views for name in view.seen}
    new = asked.names() - place.names()
    with suppress(TakeoverError):
        for name in sorted(new - before):
            await unload(place.fleet, place.fleet.servers, name)
        for name in sorted(new):
            asked.drop_files(name)
        if place.record is None:
            asked.layout.desks.remove(asked.name)
        else:
            asked.note(place.record)


async def _retire(place: Place, now: float) -> None:
    """Let go what is due; the rest stays in the record, and so does what a server would not let go.

    That is no failure: what was asked for is served, and the next deploy tries again.
    """
    record = _recorded(place)
    progress("retire", "looking for versions that nobody wants any more")
    kept = [each for each in record.retired if not await _let_go(place, each, now)]
    names = {place.wanted(model).name for model in record.models} | {each.name for each in kept}
    paths = {name: path for name, path in record.paths.items() if name in names}
    for name in record.paths.keys() - names:
        place.drop_files(name)
    place.note(record.model_copy(update={"retired": tuple(kept), "paths": paths}))


async def _let_go(place: Place, retired: Retired, now: float) -> bool:
    """Whether it is gone: unloaded, or left to another endpoint that serves it too."""
    try:
        if place.is_used_elsewhere(retired.name):
            return True
        if await due(place, retired, now):
            await unload(place.fleet, place.fleet.servers, retired.name)
            return True
        progress(
            "retire", f"{retired.name} stays loaded until nobody has wanted it for {place.options.drain_seconds} s"
        )
    except TakeoverError as error:
        progress("retire", f"{retired.name} could not be unloaded: {error.happened}; the next deploy tries again")
    return False


async def due(place: Place, retired: Retired, now: float) -> bool:
    """Whether it may go: unwanted long enough, and not asked for as long by any server that can tell."""
    drain_s = place.options.drain_seconds
    if now - retired.since < drain_s:
        return False
    idle = [await _idle(place.fleet, index, retired.name, now) for index in range(len(place.fleet.servers))]
    return all(each is None or each >= drain_s for each in idle)


async def _idle(fleet: Fleet, index: int, name: str, now: float) -> float | None:
    """Seconds, None where it cannot be told: no such metric, no way to it, or one address for several servers."""
    if fleet.is_balanced:
        return None
    try:
        response = await send(build_metrics(fleet.servers[index]))
    except TakeoverError:
        return None
    if response.status != 200:
        return None
    date = {key.lower(): value for key, value in response.headers.items()}.get("date", "")
    return idle_seconds(response.text, name, server_time(date, now))
