"""vLLM servers that somebody else runs (`cluster: existing`): adapters are loaded there at run time, on every replica.

`VLLM_CLUSTER_URL` is the address that applications ask, `VLLM_API_KEY` the key that they get; `VLLM_ADMIN_API_KEY` is
for servers (SGLang) or gateways that want another key for loading. The servers themselves are never started, stopped
or scaled. Loading at run time is what vLLM calls a risk in production: whoever has the key may load an adapter.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from takeover.errors import NotReady, Refused, TakeoverError
from takeover.home import home_dir
from takeover.providers._base import Described, Endpoint, EndpointSpec, InferenceMetrics, TrainedModel
from takeover.providers._http import Patience, Unreachable, json_of, send
from takeover.providers._limits import require_deployable, require_replicas
from takeover.providers._local_state import exclusive
from takeover.providers._metrics import SGLANG, VLLM, parse_vllm_metrics
from takeover.providers._openai import Server, build_chat, build_metrics, parse_chat
from takeover.providers._progress import progress
from takeover.providers._vllm_adapters import unload
from takeover.providers._vllm_deploy import due, put_up, seen_by
from takeover.providers._vllm_files import verified
from takeover.providers._vllm_options import cluster_of, engine_of, key_of, parse_options
from takeover.providers._vllm_place import Layout, Place, layout_of, serves_base
from takeover.providers._vllm_record import Record
from takeover.providers._vllm_replicas import View, call, find_fleet, look_at_all, told
from takeover.tiers import tier

__all__ = ["VLLMProvider", "require_servers"]


class VLLMProvider:
    """`InferenceProvider` over servers of others. `home` is where records are kept (`takeover.home`)."""

    name = "dedicated-vllm"

    def __init__(
        self,
        *,
        home: Path | None = None,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        known: tuple[tuple[TrainedModel, ...], EndpointSpec] | None = None,
    ) -> None:
        self._home = home
        self._now = now
        self._sleep = sleep
        self._known = known

    def knowing(self, models: tuple[TrainedModel, ...], spec: EndpointSpec) -> VLLMProvider:
        """The same, told what the engine's state has of an endpoint: for a machine that did not deploy it."""
        return VLLMProvider(home=self._home, now=self._now, sleep=self._sleep, known=(models, spec))

    def named(self, models: tuple[TrainedModel, ...], options: Mapping[str, Any]) -> tuple[TrainedModel, ...]:
        """The models under the names that callers must ask for. Pure."""
        engine = engine_of(parse_options(options))
        return tuple(
            model.model_copy(update={"served_name": engine.asked(engine.loaded(model.served_name))}) for model in models
        )

    def _layout(self, name: str, spec: EndpointSpec | None = None) -> Layout:
        """By what is asked for now, by what the engine's state has, or by the record in the home."""
        known = self._known_of(name)
        return layout_of(self._home or home_dir(), name, spec or (known[1] if known else None))

    def _known_of(self, name: str) -> tuple[tuple[TrainedModel, ...], EndpointSpec] | None:
        return self._known if self._known is not None and self._known[1].name == name else None

    async def _place(self, name: str, layout: Layout) -> Place:
        cluster, known = cluster_of(os.environ), self._known_of(name)
        fleet = await find_fleet(cluster, layout.options, Patience(sleep=self._sleep))
        place = Place(name, cluster, layout, fleet, layout.desks.read(name))
        if place.record is not None or known is None:
            return place
        paths = {wanted.name: wanted.path for wanted in map(place.wanted, known[0])}
        return replace(place, record=Record(spec=known[1], models=known[0], root=cluster.root, paths=paths))

    async def deploy(self, models: tuple[TrainedModel, ...], spec: EndpointSpec) -> Endpoint:
        require_deployable(tier(self.name), models, spec)
        require_servers(spec, os.environ)
        for model in models:
            await asyncio.to_thread(verified, model)
        layout = self._layout(spec.name, spec)
        async with exclusive(layout.lock):
            progress("prepare", f"preparing {spec.name}")
            try:
                place = await self._place(spec.name, layout)
                await put_up(place, models, spec, self._now())
            except TakeoverError as error:
                raise told(error) from None
            progress("finish", f"{spec.name} serves {', '.join(model.served_name for model in models)}")
        return _endpoint(
            place, [place.fleet.engine.loaded(model.served_name) for model in models], len(place.fleet.servers)
        )

    async def inference(self, endpoint: Endpoint, prompt: str, **options: Any) -> str:
        root = endpoint.url.removesuffix("/v1")
        server = Server(root, endpoint.api_key or key_of(os.environ), f"the server at {root}")
        request = build_chat(server, endpoint.models[0] if endpoint.models else "", prompt, options)
        try:
            return parse_chat(json_of(await send(request), request))
        except TakeoverError as error:
            raise told(error) from None

    async def scale(self, endpoint: Endpoint, replicas: int) -> None:
        require_replicas(tier(self.name), replicas)
        if replicas != endpoint.replicas_ready:
            raise Refused(
                f"{endpoint.name} has {endpoint.replicas_ready} replicas, and takeover cannot make it {replicas}",
                why="The servers of cluster: existing are started and stopped by whoever runs them.",
                fix="Scale them there; then name the new ones in takeover:dedicated-vllm.replicaUrls and deploy again.",
                where="replicas",
            )

    async def destroy(self, endpoint: Endpoint) -> None:
        layout = self._layout(endpoint.name)
        async with exclusive(layout.lock):
            try:
                await self._destroy(await self._place(endpoint.name, layout))
            except TakeoverError as error:
                raise told(error) from None

    async def _destroy(self, place: Place) -> None:
        """Unload what nobody else uses, then the files. A server that is gone took its adapters along."""
        looked = await look_at_all(place.fleet)
        for server, each in zip(place.fleet.servers, looked, strict=True):
            if isinstance(each, Unreachable):
                progress("left", f"nothing listens at {server.root}: what it had loaded went with it")
            elif isinstance(each, TakeoverError):
                raise each
            else:
                for name in sorted(place.names() & each.seen.keys()):
                    if place.is_ours(name, each.seen[name]) and not place.is_used_elsewhere(name):
                        await unload(place.fleet, [server], name)
        await asyncio.to_thread(place.forget)
        progress("left", f"{place.name} has left {place.cluster.root}")

    async def get_metrics(self, endpoint: Endpoint) -> InferenceMetrics:
        """Figures of the whole servers, whoever asked them for what, summed over the replicas that are named."""
        place, looked = await self._survey(endpoint.name)
        views = [each for each in looked if isinstance(each, View)]
        if not views:
            seen_by(looked)
        if not any(place.serves_any(view) for view in views):
            raise NotReady(
                f"{endpoint.name} is not served at {place.cluster.root}", why="It was unloaded.", fix="Deploy it."
            )
        pages = [await call(place.fleet, build_metrics(view.server)) for view in views]
        if place.fleet.is_balanced or any(page.status != 200 for page in pages):
            return InferenceMetrics(replicas=None if place.fleet.is_balanced else len(views))
        names = SGLANG if place.fleet.engine.name == "sglang" else VLLM
        return parse_vllm_metrics(*(page.text for page in pages), names=names)

    async def _survey(self, name: str) -> tuple[Place, Sequence[View | TakeoverError]]:
        """What is known, and what each server says; nobody is asked about what nobody knows."""
        place = await self._place(name, self._layout(name))
        return place, await look_at_all(place.fleet) if place.record else ()

    async def find(self, name: str) -> Endpoint | None:
        place, looked = await self._survey(name)
        return _found(place, looked)

    async def recorded(self, name: str) -> tuple[tuple[TrainedModel, ...], EndpointSpec] | None:
        record = self._layout(name).desks.read(name)
        return (record.models, record.spec) if record else None

    async def describe(self, endpoint: Endpoint) -> Described | None:
        place, looked = await self._survey(endpoint.name)
        found = _found(place, looked)
        if found is None or place.record is None:
            return None
        views = [each for each in looked if isinstance(each, View)]
        reasons = _reasons(place, looked)
        base = place.record.spec.base
        told_base = all(serves_base(view.bases, base, place.options.base_model) for view in views)
        served = _served(place, views) if len(views) == len(looked) else {}
        overdue = await self._overdue(place, views)
        return Described(
            endpoint=found,
            base=base if told_base and views else None,
            models=tuple(place.fleet.engine.asked(name) for name in (*served, *overdue)),
            digests=(*served.values(), *overdue.values()),
            replicas=None if place.fleet.is_balanced else len(views),
            hardware=None,
            healthy=not reasons,
            reason="; ".join(reasons),
        )

    async def _overdue(self, place: Place, views: Sequence[View]) -> dict[str, str]:
        """Versions that the next deploy would unload: drift, so that there is a next deploy."""
        seen = {name for view in views for name in view.seen}
        retired = place.record.retired if place.record else ()
        return {
            each.name: each.digest
            for each in retired
            if each.name in seen and not place.is_used_elsewhere(each.name) and await due(place, each, self._now())
        }


def require_servers(spec: EndpointSpec, environ: Mapping[str, str]) -> None:
    """Refused where the variables name no server, or one that cannot see the files; the preview asks this too.

    Without a folder of the user's choice only a server on this machine sees them.
    """
    cluster, options = cluster_of(environ), parse_options(spec.options)
    if options.adapter_files == "shared-path" and options.shared_path is None and not cluster.is_here:
        raise Refused(
            "takeover:dedicated-vllm.sharedPath is not set",
            why=f"The server at {cluster.root} reads the adapter's files itself, and is on another machine. "
            "Nothing was created.",
            fix="Name a folder that both see (sharedPath, and sharedPathThere where the server sees it under another "
            "path), or set adapterFiles: server-pulls.",
            where="takeover:dedicated-vllm.sharedPath",
        )


def _endpoint(place: Place, names: Sequence[str], ready: int) -> Endpoint:
    """`names` are those that the adapters are loaded under."""
    return Endpoint(
        id=place.name,
        name=place.name,
        provider=VLLMProvider.name,
        url=f"{place.cluster.root}/v1",
        models=tuple(place.fleet.engine.asked(name) for name in names),
        api_key=place.cluster.key,
        replicas_ready=ready,
    )


def _found(place: Place, looked: Sequence[View | TakeoverError]) -> Endpoint | None:
    """None when no record has it, and no server what the engine's state says; raises where that cannot be told."""
    views = [each for each in looked if isinstance(each, View)]
    if place.record is None:
        return None
    is_noted = place.layout.desks.read(place.name) is not None
    if not is_noted and len(views) == len(looked) and not any(place.serves_any(view) for view in views):
        return None
    ready = sum(not place.missing(view) for view in views)
    return _endpoint(place, [wanted.name for wanted in place.current()], ready)


def _served(place: Place, views: Sequence[View]) -> dict[str, str]:
    """What every replica serves of what is wanted, with its digest."""
    lost = {name for view in views for name in place.missing(view)}
    return {wanted.name: wanted.model.digest for wanted in place.current() if wanted.name not in lost}


def _reasons(place: Place, looked: Sequence[View | TakeoverError]) -> list[str]:
    """Why it is not as it should be, replica by replica; empty when it is."""
    reasons = []
    for server, each in zip(place.fleet.servers, looked, strict=True):
        if isinstance(each, TakeoverError):
            reasons.append(each.happened)
        elif missing := place.missing(each):
            some = " on some of the servers behind it" if any(name in each.seen for name in missing) else ""
            reasons.append(f"{server.root} has lost {', '.join(missing)}{some}")
        elif place.record and serves_base(each.bases, place.record.spec.base, place.options.base_model) is False:
            reasons.append(f"{server.root} serves another base")
    return reasons
