"""The same requests against moto, a second opinion on what AWS takes, as far as moto 5.2.5 goes.

Here by moto: models, configurations and endpoints (made, described, listed, deleted), tags, a variant's scalable target
and policy, alarms, dashboard, bucket and files (whose checksums it keeps and does not compare).

By botocore's own models only, on our fake: UpdateEndpoint with its deployment policies and roll-back, everything of
inference components and their scalable dimension, instance types that moto does not know (it wants ml.g4dn here),
InvokeEndpoint and its stream, log events.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from fakes.artifacts import make_adapter
from fakes.moto_server import moto_url
from sagemaker_ground import BASE, OPTIONS, ROLE, spec

from takeover.providers._sagemaker_api import Api, Missing
from takeover.providers._sagemaker_deploy import clean
from takeover.providers._sagemaker_files import forget_files, put_files
from takeover.providers._sagemaker_place import Place, place_of
from takeover.sagemaker import alarms, scaling
from takeover.sagemaker.container import static_adapters
from takeover.sagemaker.names import digest_in
from takeover.sagemaker.requests import build_configuration, build_model, tags_of

NAME, BUCKET = "demo-moto-1a2b3c4d", "acme-moto"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    given = {
        "AWS_ENDPOINT_URL": moto_url(),
        "AWS_ACCESS_KEY_ID": "AKIAFAKE",
        "AWS_SECRET_ACCESS_KEY": "a-key",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    return Api("us-east-1")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    model = make_adapter(tmp_path / "a", name="tone").trained_model().model_copy(update={"base": BASE})
    options = {**OPTIONS, "bucket": BUCKET, "instanceType": "ml.g4dn.xlarge"}
    return place_of((model,), spec(options, name=NAME, max_replicas=3))


async def test_an_endpoint_s_life(api: Api, place: Place) -> None:
    plan = place.serving
    model = build_model(plan, place.uri, ROLE)
    configuration = build_configuration(plan, model["ModelName"], ROLE)
    named = {"EndpointName": NAME, "EndpointConfigName": configuration["EndpointConfigName"]}
    await api.call("sagemaker", "create_model", **model)
    await api.call("sagemaker", "create_endpoint_config", **configuration)
    await api.call("sagemaker", "create_endpoint", **named, Tags=tags_of(plan.labels))
    told = await api.call("sagemaker", "describe_endpoint", EndpointName=NAME)
    assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("InService", named["EndpointConfigName"])
    kept = await api.call("sagemaker", "describe_model", ModelName=model["ModelName"])
    served = {name: digest_in(uri) for name, uri in static_adapters(kept["PrimaryContainer"]).items()}
    assert served == {plan.models[0].served_name: plan.models[0].digest}
    await api.call("application-autoscaling", "register_scalable_target", **scaling.build_target(plan))
    await api.call("application-autoscaling", "put_scaling_policy", **scaling.build_tracking_policy(plan))
    await api.call("sagemaker", "delete_endpoint", EndpointName=NAME)
    await clean(api, NAME)
    for kind, key in (("model", "ModelName"), ("endpoint_config", "EndpointConfigName")):
        assert await api.look("sagemaker", f"describe_{kind}", **{key: {**model, **configuration}[key]}) is None
    assert await api.look("sagemaker", "describe_endpoint", EndpointName=NAME) is None


async def test_alarms_and_dashboard_are_taken_as_they_are_meant(api: Api, place: Place) -> None:
    wanted = alarms.build_alarms(place.serving, 200, ["arn:aws:sns:us-east-1:123456789012:on-call"])
    for alarm in wanted:
        await api.call("cloudwatch", "put_metric_alarm", **alarm)
    told = await api.call("cloudwatch", "describe_alarms", AlarmNames=[f"{NAME}-latency"])
    kept = told["MetricAlarms"][0]
    assert (kept["ExtendedStatistic"], kept["Threshold"]) == ("p95", 200000.0)
    body = alarms.build_dashboard(place.serving, wanted)
    await api.call("cloudwatch", "put_dashboard", DashboardName=NAME, DashboardBody=body)
    await api.call("cloudwatch", "delete_alarms", AlarmNames=[each["AlarmName"] for each in wanted])


class Counting(Api):
    """Counts what is brought."""

    brought = 0

    async def call(self, service: str, operation: str, **request: Any) -> dict[str, Any]:
        self.brought += operation == "put_object"
        return await super().call(service, operation, **request)


async def test_files_arrive_whole_and_are_brought_once(api: Api, place: Place) -> None:
    model, counting, s3 = place.serving.models[0], Counting(api.region), boto3.client("s3")
    await put_files(counting, place, model)
    await put_files(counting, place, model)
    assert counting.brought == 2
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    key = next(each for each in keys if each.endswith("safetensors"))
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == (Path(model.path) / Path(key).name).read_bytes()
    await forget_files(api, BUCKET, NAME)
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


async def test_a_bucket_that_is_not_there_is_refused(api: Api, place: Place) -> None:
    nowhere = Place(place.serving, place.role, "acme-nowhere")
    with pytest.raises(Missing):
        await put_files(api, nowhere, place.serving.models[0])
