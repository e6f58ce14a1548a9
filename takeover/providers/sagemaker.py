"""SageMaker: vLLM in AWS's container on endpoints of one account and region. Everything is read back from SageMaker.

Two modes (takeover:sagemaker.mode). `endpoint`: the adapters are part of the model, loaded before an instance is in
service; a new version is a new fleet that takes over after it answers. `inference-components`: the base and each
version of an adapter are components on one fleet, which may be at zero.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from takeover.errors import NotReady, Refused
from takeover.home import home_dir
from takeover.providers._base import Described, Endpoint, EndpointSpec, InferenceMetrics, TrainedModel
from takeover.providers._limits import require_deployable, require_replicas
from takeover.providers._local_state import EndpointFolder, exclusive
from takeover.providers._openai import parse_chat, parse_completion
from takeover.providers._progress import progress
from takeover.providers._sagemaker_api import Api
from takeover.providers._sagemaker_components import put_components, remove_components
from takeover.providers._sagemaker_deploy import begin, clean, remove_endpoint, remove_scaling, scale_by_load
from takeover.providers._sagemaker_figures import figures
from takeover.providers._sagemaker_files import forget_files
from takeover.providers._sagemaker_place import Place, place_of, region_of
from takeover.providers._sagemaker_read import Found, components_of, look, ours
from takeover.providers._sagemaker_runtime import ask
from takeover.providers._sagemaker_scale import scale_to
from takeover.providers._sagemaker_wait import Waiting
from takeover.sagemaker.names import invocation_url, parse_address
from takeover.tiers import tier

__all__ = ["SageMakerProvider"]

# A fleet, an image of 10 GB and the weights, twice over for an update with roll-back.
_LIMIT_S = 3 * 3600.0


class SageMakerProvider:
    """`InferenceProvider` over the account that AWS's own variables, files and roles lead to."""

    name = "sagemaker"

    def __init__(
        self,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        known: tuple[tuple[TrainedModel, ...], EndpointSpec] | None = None,
    ) -> None:
        self._sleep = sleep
        self._known = known

    def knowing(self, models: tuple[TrainedModel, ...], spec: EndpointSpec) -> SageMakerProvider:
        """The same, told what the engine's state has: its region and bucket."""
        return SageMakerProvider(sleep=self._sleep, known=(models, spec))

    def _options(self, name: str) -> Mapping[str, Any]:
        return self._known[1].options if self._known is not None and self._known[1].name == name else {}

    def _api(self, name: str, endpoint: Endpoint | None = None) -> Api:
        region = endpoint.regions[0] if endpoint is not None and endpoint.regions else None
        return Api(region or region_of(self._options(name)))

    def _waiting(self) -> Waiting:
        return Waiting(_LIMIT_S, sleep=self._sleep)

    async def deploy(self, models: tuple[TrainedModel, ...], spec: EndpointSpec) -> Endpoint:
        require_deployable(tier(self.name), models, spec)
        place = place_of(models, spec)
        api, waiting = Api(place.serving.options.region), self._waiting()
        async with exclusive(EndpointFolder(home_dir(), spec.name)):
            progress("look", f"looking at {spec.name} in {api.region}")
            found = await begin(api, place, waiting)
            if place.serving.options.has_components:
                await put_components(api, place, waiting)
            await scale_by_load(api, place)
            await self._first_questions(place)
            progress("clean", f"removing what {spec.name} needs no more")
            await clean(api, spec.name, but=await _needed(api, spec.name, found.configuration))
        made = await look(api, spec.name)
        if made is None:
            raise Refused(f"{spec.name} was removed while it was being deployed", fix="Deploy it again.")
        return self._endpoint(made, api.region)

    async def _first_questions(self, place: Place) -> None:
        serving = place.serving
        address = parse_address(self._url(serving.name, serving.options.region, serving.options.has_components))
        for model in serving.models:
            progress("ask", f"asking {model.served_name} a first question")
            question = {"model": model.served_name, "prompt": "Hello", "max_tokens": 1, "temperature": 0}
            parse_completion(await ask(address, serving.options.region, question))

    def _url(self, name: str, region: str, has_components: bool) -> str:
        root = os.environ.get("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME")
        return invocation_url(region, name, has_components=has_components, root=root)

    def _endpoint(self, found: Found, region: str) -> Endpoint:
        return Endpoint(
            id=found.name,
            name=found.name,
            provider=self.name,
            url=self._url(found.name, region, found.has_components),
            protocol="sagemaker",
            models=tuple(found.served),
            regions=(region,),
            replicas_ready=found.replicas or 0,
            cold_start_measured_ms=found.started_ms,
        )

    async def inference(self, endpoint: Endpoint, prompt: str, **options: Any) -> str:
        if options.get("stream"):
            fix = "Use `takeover.Client.stream`."
            raise Refused("an answer as one text cannot be streamed", fix=fix, where="options.stream")
        model = endpoint.models[0] if endpoint.models else "base"
        question = {"model": model, "messages": [{"role": "user", "content": prompt}], **options}
        region = endpoint.regions[0] if endpoint.regions else None
        return parse_chat(await ask(parse_address(endpoint.url), region, question))

    async def scale(self, endpoint: Endpoint, replicas: int) -> None:
        require_replicas(tier(self.name), replicas)
        api = self._api(endpoint.name, endpoint)
        found = await look(api, endpoint.name)
        if found is None:
            raise Refused(f"there is no endpoint {endpoint.name}", fix="Deploy it first.")
        await scale_to(api, found, replicas)

    async def destroy(self, endpoint: Endpoint) -> None:
        name = endpoint.name
        api, waiting = self._api(name, endpoint), self._waiting()
        async with exclusive(EndpointFolder(home_dir(), name)):
            progress("stop", f"removing {name} from {api.region}")
            found = await look(api, name)
            bucket = self._options(name).get("bucket") or await _bucket_of(api, name, found)
            await remove_scaling(api, name)
            await remove_components(api, name, waiting)
            await remove_endpoint(api, name, waiting)
            await clean(api, name)
            if bucket is not None:
                await forget_files(api, str(bucket), name)

    async def get_metrics(self, endpoint: Endpoint) -> InferenceMetrics:
        """CloudWatch's figures of the last hour; it has none of tokens and of a queue."""
        api = self._api(endpoint.name, endpoint)
        found = await look(api, endpoint.name)
        if found is None:
            raise NotReady(f"there is no endpoint {endpoint.name}", why="It was removed.", fix="Deploy it.")
        return await figures(api, found)

    async def find(self, name: str) -> Endpoint | None:
        api = self._api(name)
        found = await look(api, name)
        return None if found is None or found.status == "Deleting" else self._endpoint(found, api.region)

    async def describe(self, endpoint: Endpoint) -> Described | None:
        api = self._api(endpoint.name, endpoint)
        found = await look(api, endpoint.name)
        if found is None or found.status == "Deleting":
            return None
        return Described(
            endpoint=self._endpoint(found, api.region),
            base=found.base,
            models=tuple(found.served),
            digests=tuple(found.served.values()),
            replicas=found.replicas,
            hardware=found.instance_type,
            healthy=not found.trouble,
            reason=found.trouble,
        )


async def _needed(api: Api, name: str, configuration: str) -> list[str]:
    """What must stay: the configuration that is pointed to, and the model of the base's component."""
    return [configuration, *(each.model for each in await components_of(api, name) if each.model)]


async def _bucket_of(api: Api, name: str, found: Found | None) -> str | None:
    """The bucket that the adapters come from: of what runs, or of what a deploy that was cut off has left."""
    _, models = await ours(api, name)
    containers = [found.container] if found is not None else []
    for each in models:
        told = await api.look("sagemaker", "describe_model", ModelName=each)
        containers.append((told or {}).get("PrimaryContainer") or {})
    sources = [each for container in containers for each in container.get("AdditionalModelDataSources") or ()]
    uris = [str(each["S3DataSource"]["S3Uri"]) for each in sources]
    uris += [each.uri for each in await components_of(api, name)]
    return next((uri.removeprefix("s3://").partition("/")[0] for uri in uris if uri.startswith("s3://")), None)
