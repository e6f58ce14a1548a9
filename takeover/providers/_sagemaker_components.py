"""Inference components: the base, and one for each version of an adapter, beside each other on one fleet.

A new version stands beside the one before, which stays for one change more, marked by a tag: whoever holds yesterday's
outputs gets answers. Components outlive their endpoint and block their names, so they go before it, adapters first.
"""

from __future__ import annotations

import time

from takeover.errors import NotReady, VendorError
from takeover.providers._progress import progress
from takeover.providers._sagemaker_api import Answer, Api
from takeover.providers._sagemaker_deploy import last_words
from takeover.providers._sagemaker_place import Place
from takeover.providers._sagemaker_read import RETIRED, Component, components_of
from takeover.providers._sagemaker_wait import Waiting
from takeover.sagemaker.names import base_component
from takeover.sagemaker.requests import build_adapter_component, build_base_component, build_model

__all__ = ["put_components", "remove_components"]


async def put_components(api: Api, place: Place, waiting: Waiting) -> None:
    """Base and adapters in service; versions that are not wanted any more marked, those marked before removed."""
    name = place.serving.name
    progress("components", f"looking at the inference components of {name}")
    there = {each.name: each for each in await _settled(api, name, waiting)}
    await _put_base(api, place, there.get(base_component(name)), waiting)
    wanted = [build_adapter_component(place.serving, model, place.uri) for model in place.serving.models]
    names = {request["InferenceComponentName"] for request in wanted}
    others = [each for each in there.values() if each.served and each.name not in names]
    missing = [request for request in wanted if not _stands(there.get(request["InferenceComponentName"]))]
    if missing:
        await _remove(api, name, [each for each in others if each.retired], waiting)
    for request in missing:
        broken = there.get(request["InferenceComponentName"])
        await _remove(api, name, [broken] if broken else [], waiting)
        progress("components", f"loading {request['InferenceComponentName']}")
        await api.call("sagemaker", "create_inference_component", **request)
    after = await _settled(api, name, waiting)
    await _require_all(api, after, {*names, base_component(name)})
    await _mark(api, after, names)


def _stands(component: Component | None) -> bool:
    return component is not None and component.status != "Failed"


async def _put_base(api: Api, place: Place, there: Component | None, waiting: Waiting) -> None:
    model = str(build_model(place.serving, place.uri, place.role)["ModelName"])
    request = build_base_component(place.serving, model)
    name = str(request["InferenceComponentName"])
    if there is not None and there.status == "Failed":
        await _remove(api, place.serving.name, [there], waiting)
        there = None
    if there is None:
        progress("components", f"loading the base as {name}")
        await api.call("sagemaker", "create_inference_component", **request)
    elif there.model != model:
        progress("components", f"moving {name} to {model}, copy by copy")
        update = {key: request[key] for key in ("InferenceComponentName", "Specification")}
        await api.call("sagemaker", "update_inference_component", **update, DeploymentConfig=_ROLLING)
    elif there.copies == 0:
        progress("components", f"waking {name}")
        await api.call(
            "sagemaker",
            "update_inference_component_runtime_config",
            InferenceComponentName=name,
            DesiredRuntimeConfig={"CopyCount": place.serving.first_count},
        )
    await _require_all(api, await _settled(api, place.serving.name, waiting), {name})


_ROLLING: Answer = {
    "RollingUpdatePolicy": {"MaximumBatchSize": {"Type": "COPY_COUNT", "Value": 1}, "WaitIntervalInSeconds": 120}
}


async def _settled(api: Api, endpoint: str, waiting: Waiting) -> tuple[Component, ...]:
    def moving(found: tuple[Component, ...]) -> str | None:
        at_work = [f"{each.name} is {each.status}" for each in found if each.status not in {"InService", "Failed"}]
        return ", ".join(at_work) or None

    return await waiting.until("components", endpoint, lambda: components_of(api, endpoint), moving)


async def _require_all(api: Api, found: tuple[Component, ...], wanted: set[str]) -> None:
    for name in sorted(wanted):
        each = next((component for component in found if component.name == name), None)
        if each is None or each.status == "Failed":
            why = each.reason if each else "It was removed meanwhile."
            said = await last_words(api, f"/aws/sagemaker/InferenceComponents/{name}")
            raise VendorError(
                f"the inference component {name} did not come up", why=f"{why}{said}", fix="Deploy again."
            )


async def _mark(api: Api, found: tuple[Component, ...], wanted: set[str]) -> None:
    """The one before stays until the next change; one that is wanted again is no longer on its way out."""
    for each in found:
        if each.served and each.name not in wanted and not each.retired:
            tag = {"Key": RETIRED, "Value": str(round(time.time()))}
            await api.call("sagemaker", "add_tags", ResourceArn=each.arn, Tags=[tag])
        elif each.name in wanted and each.retired:
            await api.call("sagemaker", "delete_tags", ResourceArn=each.arn, TagKeys=[RETIRED])


async def remove_components(api: Api, endpoint: str, waiting: Waiting) -> None:
    """All of them, adapters before their base: while one is there its name cannot be used again."""
    found = await components_of(api, endpoint)
    await _remove(api, endpoint, [each for each in found if each.served], waiting)
    await _remove(api, endpoint, [each for each in found if not each.served], waiting)


async def _remove(api: Api, endpoint: str, components: list[Component], waiting: Waiting) -> None:
    """Asked again as long as SageMaker says that it is busy with them."""
    names = {each.name for each in components}
    if not names:
        return

    async def attempt() -> list[Component]:
        left = [each for each in await components_of(api, endpoint) if each.name in names]
        for each in left:
            if each.status != "Deleting":
                try:
                    await api.look("sagemaker", "delete_inference_component", InferenceComponentName=each.name)
                except NotReady:
                    continue
        return left

    def left(found: list[Component]) -> str | None:
        return ", ".join(f"{each.name} is {each.status}" for each in found) or None

    await waiting.until("components", endpoint, attempt, left)
