"""Modal: serverless GPUs. One app per endpoint, deployed by the real `modal deploy`, asked at its own address.

The app is serving/modal_app.py: vLLM with all adapters loaded from the start, a guard before it, the key in the
endpoint's own volume. A change of adapter is another version of the app: its containers come up beside the old ones and
serve the adapter of the version before as well, so that whoever holds yesterday's name gets answers until the next
change. What an app serves stands in its tags: looking at it wakes no container and costs nothing.
"""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import Any

from takeover.errors import AuthError, NotReady, QuotaError, Refused, TakeoverError
from takeover.home import home_dir, project_root
from takeover.modal_contract import ContainerSettings, fingerprint
from takeover.providers import _modal_sdk as sdk
from takeover.providers._base import Described, Endpoint, EndpointSpec, InferenceMetrics, TrainedModel
from takeover.providers._http import error_of, json_of, send
from takeover.providers._limits import require_deployable, require_replicas
from takeover.providers._local_state import EndpointFolder, exclusive
from takeover.providers._metrics import parse_vllm_metrics
from takeover.providers._modal_cli import modal_deploy
from takeover.providers._modal_credentials import require_credentials
from takeover.providers._modal_door import Door, cold_start_ms, require_awake, served
from takeover.providers._modal_figures import build_metrics_of
from takeover.providers._modal_options import build_settings
from takeover.providers._modal_sdk import Deployed
from takeover.providers._modal_source import source_hash
from takeover.providers._openai import Server, build_chat, build_metrics, parse_chat
from takeover.providers._progress import progress
from takeover.tiers import tier

__all__ = ["ModalProvider"]


class ModalProvider:
    """`InferenceProvider` over one workspace on Modal: that of MODAL_TOKEN_ID, in MODAL_ENVIRONMENT."""

    name = "modal"

    async def deploy(self, models: tuple[TrainedModel, ...], spec: EndpointSpec) -> Endpoint:
        require_deployable(tier(self.name), models, spec)
        settings = build_settings(models, spec, root=project_root())
        require_credentials(os.environ)
        async with exclusive(EndpointFolder(home_dir(), spec.name)):
            progress("look", f"looking at {spec.name} on Modal")
            found = await _look(spec.name)
            await self._bring_to(settings, found)
            progress("ask", f"asking {spec.name} a first question")
            await self._first_question(settings)
        endpoint = await self.find(spec.name)
        if endpoint is None:
            raise Refused(f"{spec.name} was removed while it was being deployed", fix="Deploy it again.")
        return endpoint

    async def _bring_to(self, settings: ContainerSettings, found: Deployed | None) -> None:
        """Deploy where anything differs; where only somebody scaled it by hand, scale it back."""
        wanted = fingerprint(settings, source_hash())
        if found is None or found.key is None or found.record.fingerprint != wanted:
            progress("deploy", f"modal deploy: {settings.name}")
            await self._deployed(settings, is_new=found is None)
        elif found.is_scaled_by_hand:
            progress("scale", f"scaling {settings.name} to what its settings say")
            scale = partial(sdk.rescale, minimum=settings.min_containers, maximum=settings.max_containers)
            await asyncio.to_thread(scale, settings.name)

    async def _deployed(self, settings: ContainerSettings, *, is_new: bool) -> None:
        """`modal deploy`; what a refused first one left in the volume goes again."""
        try:
            await modal_deploy(settings, folder=project_root(), say=lambda line: progress("deploy", line))
        except (Refused, AuthError, QuotaError):
            if is_new and await _look(settings.name) is None:
                await asyncio.to_thread(sdk.remove, settings.name)
            raise

    async def _first_question(self, settings: ContainerSettings) -> None:
        deployed = await _look(settings.name)
        if deployed is None:
            raise Refused(f"{settings.name} was removed while it was being deployed", fix="Deploy it again.")
        door = Door(_server(deployed.url, deployed, settings.name), partial(sdk.last_words, settings.name))
        names = [adapter.served_name for adapter in settings.adapters]
        await door.wait_serving(names, settings.startup_timeout_s, lambda line: progress("ask", line))
        for name in names:
            await door.ask(name)

    async def inference(self, endpoint: Endpoint, prompt: str, **options: Any) -> str:
        request = build_chat(_server_of(endpoint), endpoint.models[0], prompt, options)
        response = await send(request)
        require_awake(response, endpoint.name)
        return parse_chat(json_of(response, request))

    async def scale(self, endpoint: Endpoint, replicas: int) -> None:
        require_replicas(tier(self.name), replicas)
        found = await _look(endpoint.name)
        if found is None:
            raise Refused(f"there is no {endpoint.name} on Modal", fix="Deploy it first.")
        above = found.max_containers is not None and replicas > found.max_containers
        scale = partial(sdk.rescale, minimum=replicas, maximum=replicas if above else None)
        await asyncio.to_thread(scale, endpoint.name)

    async def destroy(self, endpoint: Endpoint) -> None:
        require_credentials(os.environ)
        folder = EndpointFolder(home_dir(), endpoint.name)
        async with exclusive(folder):
            progress("stop", f"stopping {endpoint.name} on Modal")
            await asyncio.to_thread(sdk.remove, endpoint.name)

    async def get_metrics(self, endpoint: Endpoint) -> InferenceMetrics:
        """Modal's figures of the last hour over all containers; vLLM's own (tokens, first token) where one runs."""
        try:
            stats, backlog, runners = await asyncio.to_thread(sdk.figures, endpoint.name)
        except Refused as gone:
            raise NotReady(f"nothing of {endpoint.name} is on Modal", why=str(gone)) from None
        engine = await _engine_figures(endpoint) if runners == 1 else None
        return build_metrics_of(stats, backlog, runners, engine)

    async def find(self, name: str) -> Endpoint | None:
        require_credentials(os.environ)
        found = await _look(name)
        return None if found is None else await self._endpoint(name, found)

    async def _endpoint(self, name: str, found: Deployed) -> Endpoint:
        awake = found.runners > 0
        return Endpoint(
            id=name,
            name=name,
            provider=self.name,
            url=f"{found.url}/v1",
            models=tuple(adapter.served_name for adapter in found.record.adapters),
            api_key=found.key,
            regions=found.regions,
            replicas_ready=found.runners,
            cold_start_measured_ms=await cold_start_ms(_server(found.url, found, name)) if awake else None,
        )

    async def describe(self, endpoint: Endpoint) -> Described | None:
        require_credentials(os.environ)
        found = await _look(endpoint.name)
        if found is None:
            return None
        described = await self._endpoint(endpoint.name, found)
        names, digests, base, reason = await _really(endpoint.name, found)
        reason = _scaled(found) if found.is_scaled_by_hand else reason
        return Described(
            endpoint=described,
            base=base,
            models=names,
            digests=digests,
            replicas=found.runners,
            hardware=", ".join(f"{count} x {gpu}" for gpu, count in found.gpus) or None,
            healthy=not reason,
            reason=reason,
        )


async def _look(name: str) -> Deployed | None:
    return await asyncio.to_thread(sdk.look, name)


def _server(url: str, found: Deployed, name: str) -> Server:
    return Server(url, found.key, called=name)


def _server_of(endpoint: Endpoint) -> Server:
    return Server(endpoint.url.removesuffix("/v1"), endpoint.api_key, called=endpoint.name)


def _scaled(found: Deployed) -> str:
    most = found.max_containers or "any number of"
    record = found.record
    return (
        f"it was scaled to at least {found.min_containers} and at most {most} containers; "
        f"it was deployed with {record.min_containers} to {record.max_containers}"
    )


async def _really(name: str, found: Deployed) -> tuple[tuple[str, ...], tuple[str, ...], str | None, str]:
    """Served names, digests, base, and why it does not answer. Asleep, what was deployed is what will be served."""
    if found.key is None:
        return (), (), None, f"the volume {name} lost the endpoint's key"
    if not found.runners:
        adapters = found.record.adapters
        return tuple(each.served_name for each in adapters), tuple(each.digest for each in adapters), None, ""
    try:
        listed, base = await served(_server(found.url, found, name))
    except TakeoverError as error:
        return (), (), None, f"{error.happened}. {error.why}".strip()
    ready = [adapter for adapter in listed if not adapter.retiring]
    return tuple(each.name for each in ready), tuple(each.digest or "" for each in ready), base, ""


async def _engine_figures(endpoint: Endpoint) -> InferenceMetrics | None:
    request = build_metrics(_server_of(endpoint))
    try:
        response = await send(request)
    except TakeoverError:
        return None
    return parse_vllm_metrics(response.text) if error_of(response, request) is None else None
