"""Make an endpoint what it should be. Every step looks first, so that a run which was cut off is made good by the next.

Models and configurations are named by their content: what exists under a name is what would be made.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from takeover.errors import NotReady, Refused, TakeoverError, VendorError
from takeover.providers._progress import progress
from takeover.providers._sagemaker_api import Answer, Api, Missing
from takeover.providers._sagemaker_files import put_files
from takeover.providers._sagemaker_place import Place
from takeover.providers._sagemaker_read import Found, look, ours
from takeover.providers._sagemaker_wait import Waiting
from takeover.sagemaker.alarms import WAKE, build_wake_alarms
from takeover.sagemaker.names import captured_prefix
from takeover.sagemaker.requests import build_configuration, build_deployment, build_model, tags_of
from takeover.sagemaker.scaling import build_step_policy, build_target, build_tracking_policy, scalable_of

__all__ = ["begin", "clean", "last_words", "remove_endpoint", "remove_scaling", "scale_by_load", "settle"]

_MOVING = {"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"}


async def settle(api: Api, name: str, waiting: Waiting, step: str = "wait") -> Found | None:
    """The endpoint when nothing is being done to it any more; None when there is none."""

    def moving(found: Found | None) -> str | None:
        return found.status if found is not None and found.status in _MOVING else None

    return await waiting.until(step, name, lambda: look(api, name), moving)


async def begin(api: Api, place: Place, waiting: Waiting) -> Found:
    """Files, model, configuration, endpoint: in service with this configuration when it returns."""
    serving = place.serving
    found = await settle(api, serving.name, waiting, "look")
    # Not UpdateRollbackFailed: that one answers, by a mixture of two versions, and the update below mends it.
    if found is not None and found.status in {"Failed", "OutOfService"}:
        progress("look", f"{serving.name} is {found.status}: it is made anew")
        await api.call("sagemaker", "delete_endpoint", EndpointName=serving.name)
        found = await settle(api, serving.name, waiting, "look")
    if found is not None and found.has_components != serving.options.has_components:
        raise Refused(
            f"{serving.name} exists in the other mode",
            why="A variant with a model takes no inference components, and SageMaker turns none into the other.",
            fix="Destroy it first, or deploy under another name; a stack does that by itself.",
            where="takeover:sagemaker.mode",
        )
    progress("model", f"bringing {len(serving.models)} adapters to s3://{place.bucket}")
    for each in serving.models:
        await put_files(api, place, each)
    model = build_model(serving, place.uri, place.role)
    progress("model", f"model {model['ModelName']}")
    await _once(api, waiting, "model", "ModelName", model)
    capture = place.uri(captured_prefix(serving.name)) if serving.options.data_capture else None
    named = None if serving.options.has_components else str(model["ModelName"])
    configuration = build_configuration(serving, named, place.role, capture_uri=capture)
    await _once(api, waiting, "endpoint_config", "EndpointConfigName", configuration)
    began = time.monotonic()
    is_new = found is None
    await _point(api, place, waiting, found, str(configuration["EndpointConfigName"]))
    ready = await _in_service(api, serving.name, str(configuration["EndpointConfigName"]), waiting)
    if is_new:
        spent = {"Key": "takeover:started-ms", "Value": str(round((time.monotonic() - began) * 1000))}
        await api.call("sagemaker", "add_tags", ResourceArn=ready.arn, Tags=[spent])
    return ready


async def _once(api: Api, waiting: Waiting, kind: str, key: str, request: Answer) -> None:
    if await api.look("sagemaker", f"describe_{kind}", **{key: request[key]}) is None:
        await waiting.eventually("model", lambda: api.call("sagemaker", f"create_{kind}", **request))


async def _point(api: Api, place: Place, waiting: Waiting, found: Found | None, configuration: str) -> None:
    """A new endpoint, or the one there is on to this configuration, keeping how many instances it has grown to."""
    name = place.serving.name
    if found is None:
        progress("endpoint", f"making {name} ({place.serving.options.instance_type})")
        request = {
            "EndpointName": name,
            "EndpointConfigName": configuration,
            "Tags": tags_of(place.serving.labels),
        }
        await waiting.eventually("endpoint", lambda: api.call("sagemaker", "create_endpoint", **request))
        return
    if found.configuration == configuration and found.status == "InService":
        return
    progress("endpoint", f"moving {name} to {configuration}; the version before answers meanwhile")
    update: Answer = {"EndpointName": name, "EndpointConfigName": configuration}
    if not place.serving.options.has_components:
        update |= {
            "RetainAllVariantProperties": True,
            "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DataCaptureConfig"}],
            "DeploymentConfig": build_deployment(place.serving, await _alarms(api, name)),
        }
    await waiting.eventually("endpoint", lambda: api.call("sagemaker", "update_endpoint", **update))


async def _alarms(api: Api, name: str) -> list[str]:
    """The stack's alarms that call a bad version back, as far as there are any."""
    wanted = [f"{name}-latency", f"{name}-errors"]
    told = await api.call("cloudwatch", "describe_alarms", AlarmNames=wanted)
    return sorted(alarm["AlarmName"] for alarm in told.get("MetricAlarms") or ())


async def _in_service(api: Api, name: str, configuration: str, waiting: Waiting) -> Found:
    ready = await settle(api, name, waiting)
    if ready is None:
        raise VendorError(f"{name} was removed while it was being made", fix="Deploy it again.")
    if ready.status == "InService" and ready.configuration == configuration:
        return ready
    happened = "the old version was kept" if ready.status == "InService" else f"it is {ready.status}"
    why = ready.reason or "SageMaker gives no reason."
    raise VendorError(
        f"{name} did not come up: {happened}",
        why=f"{why}{await last_words(api, f'/aws/sagemaker/Endpoints/{name}')}",
        fix="Mend what it says and deploy again.",
    )


async def last_words(api: Api, group: str) -> str:
    """The last lines of the container's log, as far as there is one; never an error of its own."""
    try:
        streams = await api.call(
            "logs", "describe_log_streams", logGroupName=group, orderBy="LastEventTime", descending=True, limit=1
        )
        stream = streams["logStreams"][0]["logStreamName"]
        told = await api.call("logs", "get_log_events", logGroupName=group, logStreamName=stream, limit=20)
    except (TakeoverError, KeyError, IndexError):
        return ""
    lines = [str(event["message"]).rstrip() for event in told.get("events") or ()]
    return "\nIts last words:\n" + "\n".join(lines) if lines else ""


async def scale_by_load(api: Api, place: Place) -> None:
    """Between the settings' bounds, by requests at work; and woken from zero by whoever asks. Idempotent by name."""
    serving = place.serving
    scalable = scalable_of(serving.name, has_components=serving.options.has_components)
    progress("ask", f"{serving.min_replicas} to {serving.max_replicas} replicas")
    await api.call("application-autoscaling", "register_scalable_target", **build_target(serving))
    await api.call("application-autoscaling", "put_scaling_policy", **build_tracking_policy(serving))
    wanted: list[Answer] = []
    if serving.is_at_zero:
        made = await api.call("application-autoscaling", "put_scaling_policy", **build_step_policy(serving))
        wanted = build_wake_alarms(serving, made["PolicyARN"])
    for alarm in wanted:
        await api.call("cloudwatch", "put_metric_alarm", **alarm)
    await _forget_wake_alarms(api, serving.name, but={str(alarm["AlarmName"]) for alarm in wanted})
    if not serving.is_at_zero:
        wake = f"{serving.name}-{WAKE}"
        await api.look("application-autoscaling", "delete_scaling_policy", **scalable.key, PolicyName=wake)


async def _forget_wake_alarms(api: Api, name: str, *, but: Collection[str] = ()) -> None:
    told = await api.all_pages("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=f"{name}-{WAKE}-")
    names = [alarm["AlarmName"] for alarm in told if alarm["AlarmName"] not in but]
    if names:
        await api.call("cloudwatch", "delete_alarms", AlarmNames=names)


async def clean(api: Api, name: str, *, but: Sequence[str] = ()) -> None:
    """Remove configurations and models that nothing points to any more: configurations first, for they name models."""
    configurations, models = await ours(api, name)
    kept_models: set[str] = set(but)
    for each in configurations:
        if each in but:
            told = await api.look("sagemaker", "describe_endpoint_config", EndpointConfigName=each) or {}
            kept_models |= {variant.get("ModelName", "") for variant in told.get("ProductionVariants") or ()}
        else:
            await api.look("sagemaker", "delete_endpoint_config", EndpointConfigName=each)
    for each in models:
        if each not in kept_models:
            await api.look("sagemaker", "delete_model", ModelName=each)


async def remove_scaling(api: Api, name: str) -> None:
    """Before what it scales, or it brings back what goes."""
    for has_components in (False, True):
        scalable = scalable_of(name, has_components=has_components)
        for policy in (f"{name}-concurrency", f"{name}-{WAKE}"):
            await api.look("application-autoscaling", "delete_scaling_policy", **scalable.key, PolicyName=policy)
        await api.look("application-autoscaling", "deregister_scalable_target", **scalable.key)
    await _forget_wake_alarms(api, name)


async def remove_endpoint(api: Api, name: str, waiting: Waiting) -> None:
    """The endpoint itself, also one that something is still being done to."""

    async def attempt() -> Found | None:
        found = await look(api, name)
        if found is not None and found.status != "Deleting":
            try:
                await api.call("sagemaker", "delete_endpoint", EndpointName=name)
            except Missing:
                return None
            except NotReady:
                return found
        return found

    await waiting.until("stop", name, attempt, lambda found: None if found is None else found.status)
