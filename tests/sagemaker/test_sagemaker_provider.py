"""SageMakerProvider against a region that takes time, refuses what is busy, and forgets nothing by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from fakes.artifacts import make_adapter
from fakes.sagemaker_api import FakeSageMaker
from sagemaker_ground import BASE, BUCKET, COMPONENTS, NAME, spec

from takeover.adapter import open_adapter
from takeover.errors import AuthError, ColdStart, NotReady, QuotaError, Refused, VendorError
from takeover.providers._base import Endpoint, TrainedModel
from takeover.providers._sagemaker_api import Api
from takeover.providers.sagemaker import SageMakerProvider
from takeover.sagemaker.iam import DEPLOYER
from takeover.sagemaker.names import base_component, component_name

ZERO = {"options": COMPONENTS, "min_replicas": 0, "max_replicas": 3}


def trained(folder: Path, mark: int, name: str = "tone") -> TrainedModel:
    """An adapter, made once for each mark."""
    path = folder / f"{name}-{mark}"
    made = open_adapter(path) if path.exists() else make_adapter(path, seed=mark, name=name)
    return made.trained_model().model_copy(update={"base": BASE})


def named(name: str, url: str = "") -> Endpoint:
    """One that is known by name only."""
    return Endpoint(id=name, name=name, provider="sagemaker", url=url, models=("a@1",))


def objects() -> list[str]:
    return sorted(each["Key"] for each in boto3.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", ()))


def alarms() -> list[str]:
    return sorted(each["AlarmName"] for each in boto3.client("cloudwatch").describe_alarms()["MetricAlarms"])


def names_of(fake: FakeSageMaker, operation: str) -> list[str]:
    return [name for name, _ in fake.calls if name.startswith(operation)]


async def test_an_adapter_s_files_lie_below_their_digest_and_go_with_the_endpoint(
    aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path
) -> None:
    model = trained(tmp_path, 1)
    endpoint = await provider.deploy((model,), spec())
    prefix = f"{NAME}/adapters/{model.digest.removeprefix('sha256:')}"
    assert objects() == [f"{prefix}/adapter_config.json", f"{prefix}/adapter_model.safetensors"]
    await provider.destroy(endpoint)
    assert objects() == []


async def test_a_folder_that_changed_since_is_refused_and_nothing_is_made(
    aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path
) -> None:
    model = trained(tmp_path, 1)
    weights = Path(model.path) / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(Refused):
        await provider.deploy((model,), spec())
    assert (objects(), aws.state.models) == ([], {})


async def test_another_adapter_in_the_folder_is_refused_too(
    aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path
) -> None:
    wanted, other = trained(tmp_path, 1), trained(tmp_path, 2)
    with pytest.raises(Refused):
        await provider.deploy((wanted.model_copy(update={"path": other.path}),), spec())
    assert (objects(), aws.state.models) == ([], {})


async def test_a_change_keeps_the_fleet_s_size_and_is_bound_to_the_stack_s_alarms(
    aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path
) -> None:
    await provider.deploy((trained(tmp_path, 1),), spec(min_replicas=2, max_replicas=4))
    watch = {"Namespace": "AWS/SageMaker", "MetricName": "ModelLatency", "Period": 60, "EvaluationPeriods": 1}
    boto3.client("cloudwatch").put_metric_alarm(
        AlarmName=f"{NAME}-latency", Statistic="Sum", Threshold=1, ComparisonOperator="GreaterThanThreshold", **watch
    )
    await provider.deploy((trained(tmp_path, 2),), spec(min_replicas=2, max_replicas=4))
    update = next(given for name, given in aws.calls if name == "UpdateEndpoint")
    assert update["RetainAllVariantProperties"] is True
    assert update["ExcludeRetainedVariantProperties"] == [{"VariantPropertyType": "DataCaptureConfig"}]
    rollback = update["DeploymentConfig"]["AutoRollbackConfiguration"]
    assert rollback == {"Alarms": [{"AlarmName": f"{NAME}-latency"}]}
    assert (len(aws.state.models), len(aws.state.configurations)) == (1, 1)
    boto3.client("cloudwatch").delete_alarms(AlarmNames=[f"{NAME}-latency"])


async def test_an_update_that_fails_keeps_the_version_before_and_shows_why(
    aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path
) -> None:
    old = trained(tmp_path, 1)
    endpoint = await provider.deploy((old,), spec())
    aws.state.dies = "CUDA error: out of memory"
    with pytest.raises(VendorError, match="the old version was kept") as caught:
        await provider.deploy((trained(tmp_path, 2),), spec())
    assert "CUDA error: out of memory" in str(caught.value)
    told = await provider.describe(endpoint)
    assert told is not None
    assert (told.digests, told.healthy) == ((old.digest,), True)


async def test_a_failed_endpoint_is_made_anew_by_the_next_deploy(
    aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path
) -> None:
    aws.state.dies = "no such model"
    with pytest.raises(VendorError, match="no such model"):
        await provider.deploy((trained(tmp_path, 1),), spec())
    broken = await provider.find(NAME)
    assert broken is not None
    told = await provider.describe(broken)
    assert told is not None
    assert (told.healthy, told.reason.split(":")[0]) == (False, "the endpoint is Failed")
    aws.state.dies = ""
    endpoint = await provider.deploy((trained(tmp_path, 3),), spec())
    assert await provider.inference(endpoint, "hello")


async def test_a_role_that_was_made_a_moment_ago_is_waited_for(
    aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path
) -> None:
    aws.state.unsettled = 3
    assert await provider.deploy((trained(tmp_path, 1),), spec())
    assert len(names_of(aws, "CreateModel")) == 4


async def test_a_role_that_stays_unknown_is_told_in_the_end(
    aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path
) -> None:
    aws.state.unsettled = 20
    with pytest.raises(NotReady, match="cannot use the role yet"):
        await provider.deploy((trained(tmp_path, 1),), spec())
    assert (len(names_of(aws, "CreateModel")), aws.state.endpoints) == (7, {})


async def test_a_mixture_of_versions_is_mended_and_never_removed(
    aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path
) -> None:
    model = trained(tmp_path, 1)
    endpoint = await provider.deploy((model,), spec())
    aws.state.endpoints[NAME].status = "UpdateRollbackFailed"
    told = await provider.describe(endpoint)
    assert told is not None
    assert told.healthy is False
    await provider.deploy((model,), spec())
    assert names_of(aws, "DeleteEndpoint") == []
    assert len(names_of(aws, "UpdateEndpoint")) == 1


async def test_a_quota_of_none_is_told_as_one(aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path) -> None:
    aws.state.quota = 0
    with pytest.raises(QuotaError, match="quota of instances is used up") as caught:
        await provider.deploy((trained(tmp_path, 1),), spec())
    assert "Service Quotas" in caught.value.fix


async def test_several_adapters_of_one_model_are_asked_by_name(
    aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path
) -> None:
    models = (trained(tmp_path, 1), trained(tmp_path, 2, "style"))
    endpoint = await provider.deploy(models, spec())
    assert endpoint.models == tuple(each.served_name for each in models)
    answers = [await provider.inference(endpoint, "hi", model=name) for name in (*endpoint.models, "base")]
    assert answers == [f"{name} hears: hi" for name in (*endpoint.models, "base")]
    with pytest.raises(Refused, match="does not exist"):
        await provider.inference(endpoint, "hi", model="nobody")


async def test_components_stand_beside_each_other_and_the_one_before_stays_for_one_change(
    aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path
) -> None:
    versions = [trained(tmp_path, mark) for mark in (1, 2, 3)]
    names = [component_name(NAME, each.served_name) for each in versions]
    base = base_component(NAME)
    wanted = spec(COMPONENTS)
    endpoint = await provider.deploy((versions[0],), wanted)
    assert sorted(aws.state.components) == sorted([base, names[0]])
    assert endpoint.url.endswith("/invocations#inference-components")
    await provider.deploy((versions[1],), wanted)
    assert sorted(aws.state.components) == sorted([base, *names[:2]])
    told = await provider.describe(endpoint)
    assert told is not None
    assert told.digests == (versions[1].digest,)
    assert await provider.inference(endpoint, "hi", model=versions[0].served_name) == f"{names[0]} hears: hi"
    await provider.deploy((versions[1],), wanted)
    assert len(aws.state.components) == 3
    await provider.deploy((versions[2],), wanted)
    assert sorted(aws.state.components) == sorted([base, *names[1:]])


async def test_a_version_that_is_wanted_again_is_no_longer_on_its_way_out(
    aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path
) -> None:
    old, new = trained(tmp_path, 1), trained(tmp_path, 2)
    for each in (old, new, old):
        endpoint = await provider.deploy((each,), spec(COMPONENTS))
    told = await provider.describe(endpoint)
    assert told is not None
    assert (endpoint.models, told.digests) == ((old.served_name,), (old.digest,))
    assert names_of(aws, "CreateInferenceComponent") == ["CreateInferenceComponent"] * 3


async def test_another_base_configuration_moves_the_base_s_component(
    aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path
) -> None:
    model = trained(tmp_path, 1)
    await provider.deploy((model,), spec(COMPONENTS))
    await provider.deploy((model,), spec({**COMPONENTS, "contextLength": 4096}))
    assert len(names_of(aws, "UpdateInferenceComponent")) == 1
    assert len(aws.state.models) == 1
    container = next(iter(aws.state.models.values()))["PrimaryContainer"]
    assert container["Environment"]["SM_VLLM_MAX_MODEL_LEN"] == "4096"


async def test_at_zero_a_call_is_a_cold_start_and_a_deploy_wakes_it(
    aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path
) -> None:
    endpoint = await provider.deploy((trained(tmp_path, 1),), spec(**ZERO))
    components = [base_component(NAME), component_name(NAME, endpoint.models[0])]
    assert alarms() == sorted(f"{NAME}-wake-{each}" for each in components)
    assert sorted(aws.state.policies) == [f"{NAME}-concurrency", f"{NAME}-wake"]
    await provider.scale(endpoint, 0)
    await provider.describe(endpoint)
    with pytest.raises(ColdStart, match="is at zero, and is being woken"):
        await provider.inference(endpoint, "hello")
    again = await provider.deploy((trained(tmp_path, 2),), spec(**ZERO))
    assert await provider.inference(again, "hello")
    await provider.destroy(again)
    assert (alarms(), aws.state.policies, aws.state.targets, aws.state.components) == ([], {}, {}, {})


async def test_components_that_outlived_their_endpoint_go_too(
    aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path
) -> None:
    endpoint = await provider.deploy((trained(tmp_path, 1),), spec(COMPONENTS))
    del aws.state.endpoints[NAME]
    assert await provider.find(NAME) is None
    await provider.destroy(endpoint)
    assert (aws.state.components, aws.state.models, objects()) == ({}, {}, [])


async def test_a_failed_component_shows_its_last_words_and_is_made_anew(
    aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path
) -> None:
    await provider.deploy((trained(tmp_path, 1),), spec(COMPONENTS))
    aws.state.dies = "rank 64 is above max_lora_rank"
    with pytest.raises(VendorError, match="rank 64 is above max_lora_rank"):
        await provider.deploy((trained(tmp_path, 2),), spec(COMPONENTS))
    aws.state.dies = ""
    endpoint = await provider.deploy((trained(tmp_path, 2),), spec(COMPONENTS))
    assert await provider.inference(endpoint, "hello")


async def test_the_other_mode_under_the_same_name_is_refused(
    aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path
) -> None:
    await provider.deploy((trained(tmp_path, 1),), spec())
    with pytest.raises(Refused, match="exists in the other mode"):
        await provider.deploy((trained(tmp_path, 2),), spec(COMPONENTS))


async def test_scaling_moves_bounds_and_number_and_none_only_with_components(
    aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path
) -> None:
    endpoint = await provider.deploy((trained(tmp_path, 1),), spec(max_replicas=2))
    await provider.scale(endpoint, 3)
    target = aws.state.targets[f"endpoint/{NAME}/variant/main"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (3, 3)
    told = await provider.describe(endpoint)
    assert told is not None
    assert told.replicas == 3
    with pytest.raises(Refused, match="cannot be at zero"):
        await provider.scale(endpoint, 0)


async def test_figures_are_cloudwatch_s(aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path) -> None:
    endpoint = await provider.deploy((trained(tmp_path, 1),), spec())
    where = [{"Name": "EndpointName", "Value": NAME}, {"Name": "VariantName", "Value": "main"}]
    then = datetime.now(UTC) - timedelta(minutes=2)
    data = [("Invocations", 1.0), ("Invocations", 1.0), ("Invocation5XXErrors", 1.0)]
    boto3.client("cloudwatch").put_metric_data(
        Namespace="AWS/SageMaker",
        MetricData=[
            {"MetricName": name, "Dimensions": where, "Value": value, "Timestamp": then} for name, value in data
        ],
    )
    told = await provider.get_metrics(endpoint)
    assert (told.requests, told.errors, told.latency_p95_ms, told.queue, told.replicas) == (2, 1, None, None, 1)


async def test_whatever_is_missing_is_said_at_once(
    aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path
) -> None:
    with pytest.raises(Refused) as caught:
        await provider.deploy((trained(tmp_path, 1),), spec({"region": "us-east-1"}))
    text = str(caught.value)
    assert [key for key in ("roleArn", "bucket") if f"takeover:sagemaker.{key}" not in text] == []
    assert aws.calls == []


async def test_without_credentials_it_says_how_to_get_some(
    aws: FakeSageMaker, provider: SageMakerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(AuthError, match="no AWS credentials"):
        await provider.find(NAME)
    with pytest.raises(AuthError, match="no AWS credentials"):
        await provider.inference(named("x", f"{aws.url}/endpoints/x/invocations"), "hi")


async def test_something_that_never_ends_is_given_up_and_goes_on(
    aws: FakeSageMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10**9, 3600))
    monkeypatch.setattr("takeover.providers._sagemaker_wait.time.monotonic", lambda: float(next(clock)))
    with pytest.raises(NotReady, match="is Creating after"):
        await SageMakerProvider(sleep=never).deploy((trained(tmp_path, 1),), spec())


async def never(_seconds: float) -> None:
    return None


@pytest.fixture
def made_calls(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """`service:Operation` of every call that is made, in IAM's words."""
    made: set[str] = set()
    inner = Api._call

    def call(self: Api, service: str, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        made.add(f"{service}:{_IAM.get(operation) or operation.title().replace('_', '')}")
        return inner(self, service, operation, request)

    monkeypatch.setattr(Api, "_call", call)
    return made


_IAM = {"list_objects_v2": "ListBucket", "head_object": "GetObject", "delete_objects": "DeleteObject"}


async def test_who_deploys_needs_just_the_rights_that_are_written_down(
    aws: FakeSageMaker, provider: SageMakerProvider, tmp_path: Path, made_calls: set[str]
) -> None:
    other = {**COMPONENTS, "contextLength": 4096}
    for options, name in ((spec().options, "one"), (COMPONENTS, "two")):
        endpoint = await provider.deploy((trained(tmp_path, 1),), spec(dict(options), name=name, min_replicas=1))
        endpoint = await provider.deploy((trained(tmp_path, 2),), spec(dict(options), name=name, max_replicas=2))
        await provider.scale(endpoint, 1)
        await provider.get_metrics(endpoint)
    aws.state.dies = "gone"
    with pytest.raises(VendorError):
        await provider.deploy((trained(tmp_path, 3),), spec(name="three"))
    aws.state.dies = ""
    await provider.deploy((trained(tmp_path, 1),), spec(other, name="two", min_replicas=0, max_replicas=2))
    for name in ("one", "two", "three"):
        await provider.destroy(named(name))
    written = {f"{service}:{each}" for service, calls in DEPLOYER.items() for each in calls}
    assert made_calls == written - {"sagemaker:InvokeEndpoint"}
