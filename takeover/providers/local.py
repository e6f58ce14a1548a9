"""The local tier: a process of this machine that outlives whoever started it, and costs nothing.

`takeover:local.engine` says what it runs: `takeover` (serving/local), `vllm` (from the Python that
`$LOCAL_ENGINE_PYTHON` names), or the URL of an OpenAI-style server with vLLM's adapter routes that somebody else
runs: there adapters are loaded and unloaded, with the key of `$LOCAL_ENGINE_API_KEY`, and the server itself is left
alone.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from takeover.errors import Refused, TakeoverError
from takeover.home import home_dir
from takeover.providers import _local_attached as attached
from takeover.providers import _local_own as own
from takeover.providers._base import Described, Endpoint, EndpointSpec, InferenceMetrics, TrainedModel
from takeover.providers._http import error_of, json_of, send
from takeover.providers._limits import require_deployable, require_feature, require_replicas
from takeover.providers._local_adapters import list_adapters
from takeover.providers._local_options import is_url, parse_options
from takeover.providers._local_server import is_healthy, running, stop_all
from takeover.providers._local_state import EndpointFolder, Record, exclusive
from takeover.providers._metrics import parse_vllm_metrics
from takeover.providers._openai import ServedAdapter, Server, build_chat, build_metrics, parse_chat
from takeover.providers._progress import progress
from takeover.settings import LocalOptions
from takeover.tiers import Feature, tier

__all__ = ["LocalProvider"]


class LocalProvider:
    """`InferenceProvider` over processes of this machine; `home` is where their folders are (`takeover.home`)."""

    name = "local"

    def __init__(self, *, home: Path | None = None, command: Sequence[str] | None = None) -> None:
        self._home = home
        self._command = command

    def _folder(self, name: str) -> EndpointFolder:
        return EndpointFolder(self._home or home_dir(), name)

    async def deploy(self, models: tuple[TrainedModel, ...], spec: EndpointSpec) -> Endpoint:
        require_deployable(tier(self.name), models, spec)
        options = parse_options(spec.options)
        folder = self._folder(spec.name)
        async with exclusive(folder):
            is_new = folder.record() is None
            progress("prepare", f"preparing {spec.name}")
            try:
                folder.make()
                await self._leave_other_engine(folder, options.engine)
                if is_url(options.engine):
                    await attached.deploy(folder, models, spec, options)
                else:
                    await own.deploy(folder, models, spec, options, command=self._command)
            except Refused:
                if is_new:
                    await self._remove(folder)
                raise
            progress("finish", f"{spec.name} serves {', '.join(model.served_name for model in models)}")
        endpoint = await self.find(spec.name)
        if endpoint is None:
            raise Refused(f"{spec.name} was removed while it was being deployed", fix="Deploy it again.")
        return endpoint

    async def _leave_other_engine(self, folder: EndpointFolder, engine: str) -> None:
        """What another engine served under this name ends, or is unloaded, before the new one takes over."""
        record = folder.record()
        before = record.spec.options.get("engine", engine) if record else engine
        if record is None or before == engine:
            return
        if is_url(before):
            await attached.leave(folder, record)
        elif is_url(engine):
            await stop_all(folder, drain_s=_drain_s(record))

    async def inference(self, endpoint: Endpoint, prompt: str, **options: Any) -> str:
        if options.get("logprobs") or options.get("top_logprobs"):
            require_feature(tier(self.name), Feature.LOGPROBS, where="logprobs")
        request = build_chat(_server(endpoint), endpoint.models[0], prompt, options)
        return parse_chat(json_of(await send(request), request))

    async def scale(self, endpoint: Endpoint, replicas: int) -> None:
        require_replicas(tier(self.name), replicas)

    async def destroy(self, endpoint: Endpoint) -> None:
        folder = self._folder(endpoint.name)
        async with exclusive(folder):
            await self._remove(folder)

    async def _remove(self, folder: EndpointFolder) -> None:
        record = folder.record()
        if record is not None and _is_attached(record):
            await attached.leave(folder, record)
        progress("stop", f"stopping {folder.name}")
        await stop_all(folder, drain_s=_drain_s(record))
        folder.remove()

    async def get_metrics(self, endpoint: Endpoint) -> InferenceMetrics:
        request = build_metrics(_server(endpoint))
        response = await send(request)
        error = error_of(response, request)
        if error is not None:
            raise error
        return parse_vllm_metrics(response.text)

    async def find(self, name: str) -> Endpoint | None:
        folder = self._folder(name)
        record = folder.record()
        if record is None:
            return None
        server = folder.server()
        is_ready = running(folder) is not None and server is not None and server.state == "ready"
        root = server.root if server is not None and running(folder) is not None else record.root
        return Endpoint(
            id=name,
            name=name,
            provider=self.name,
            url=f"{root}/v1" if root else "",
            models=tuple(model.served_name for model in record.models),
            api_key=attached.key() if _is_attached(record) else folder.key(),
            replicas_ready=int(is_ready or _is_attached(record)),
            cold_start_measured_ms=record.started_ms,
        )

    async def recorded(self, name: str) -> tuple[tuple[TrainedModel, ...], EndpointSpec] | None:
        record = self._folder(name).record()
        return (record.models, record.spec) if record else None

    async def describe(self, endpoint: Endpoint) -> Described | None:
        found = await self.find(endpoint.name)
        folder = self._folder(endpoint.name)
        record = folder.record()
        if found is None or record is None:
            return None
        reason, adapters = await _look(folder, record, found)
        served = [adapter for adapter in adapters if not adapter.retiring]
        return Described(
            endpoint=found,
            base=record.spec.base,
            models=tuple(adapter.name for adapter in served),
            digests=tuple(_digest(adapter, record) for adapter in served),
            replicas=int(not reason),
            hardware=f"{platform.machine()}, {os.cpu_count()} processors",
            healthy=not reason,
            reason=reason,
        )


def _server(endpoint: Endpoint) -> Server:
    return Server(endpoint.url.removesuffix("/v1"), endpoint.api_key)


def _is_attached(record: Record) -> bool:
    return is_url(record.spec.options.get("engine", ""))


def _drain_s(record: Record | None) -> int:
    """As the record has it; read loosely, for a destroy must not fail over an option of another version's."""
    drain_s = record.spec.options.get("drainSeconds") if record else 0
    return drain_s if isinstance(drain_s, int) else LocalOptions().drain_seconds


async def _look(folder: EndpointFolder, record: Record, found: Endpoint) -> tuple[str, tuple[ServedAdapter, ...]]:
    """Why it does not answer (empty when it does), and the adapters it serves."""
    reason = await _unhealthy_because(folder, record)
    if reason:
        return reason, ()
    try:
        return "", await list_adapters(_server(found))
    except TakeoverError as error:
        return str(error), ()


async def _unhealthy_because(folder: EndpointFolder, record: Record) -> str:
    """Why it does not answer; empty when it does."""
    if _is_attached(record):
        return "" if await is_healthy(record.root) else f"nothing answers at {record.root}"
    server = folder.server()
    if server is None or running(folder) is None:
        return "its process is gone"
    if await is_healthy(server.root):
        return ""
    return "it does not answer" if server.state == "ready" else f"it is {server.state}"


def _digest(adapter: ServedAdapter, record: Record) -> str:
    """What the server tells, else (vLLM) what was deployed under that name, else empty: a stranger's adapter."""
    recorded = {model.served_name: model.digest for model in record.models}
    return adapter.digest or recorded.get(adapter.name, "")
