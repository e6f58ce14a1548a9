"""The component under recording mocks: whole lists of resources against files that can be read, and what is absent.

`UPDATE_SNAPSHOTS=1 pytest tests/sagemaker/test_sagemaker_component.py` writes the files anew; read the difference.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pulumi
import pytest
from fakes.artifacts import make_adapter
from fakes.pulumi_recorder import Recorded, Run, as_yaml, compare, record

from components.hosting import HostingArgs
from components.sagemaker import SageMaker
from takeover.planning.fit import VllmFlags
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.tiers import tier

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pulumi_aws")
FOLDER = Path(__file__).parent / "snapshots"
NAME = "demo-prod-1a2b3c4d"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234"
TOPIC = "arn:aws:sns:us-east-1:123456789012:on-call"
BASE = "hub:acme/base@" + "b" * 40
NETWORK = {
    "subnets": [{"id": "subnet-a", "zone": "us-east-1a"}, {"id": "subnet-b", "zone": "us-east-1b"}],
    "securityGroups": ["sg-1"],
}


@dataclass(frozen=True)
class Case:
    id: str
    options: dict[str, Any] = field(default_factory=dict)
    adapters: tuple[str, ...] = ("tone",)
    min_replicas: int = 1
    max_replicas: int = 2
    target_ms: int | None = 200
    protect: bool = False
    flags: dict[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return FOLDER / f"{self.id.replace(' ', '-')}.yaml"


CASES = [
    Case("minimal"),
    Case(
        "full",
        {
            "baseWeights": "s3://acme-bases/llama/",
            "bucketKmsKeyArn": KEY,
            "alarmsTopic": TOPIC,
            "update": {"strategy": "linear", "percent": 25, "waitSeconds": 600},
            "dataCapture": {"percent": 5, "days": 14},
            "latency": {"what": "whole-answer", "tokens": 64},
            "contextLength": 8192,
            **NETWORK,
        },
        min_replicas=2,
        max_replicas=6,
        protect=True,
    ),
    Case("several adapters", {"mode": "inference-components", "alarmsTopic": TOPIC}, adapters=("tone", "style")),
    Case("scale to zero", {"mode": "inference-components"}, min_replicas=0, target_ms=None),
    Case("private network", {"baseWeights": "s3://acme-bases/llama/", "bucket": "acme", **NETWORK}),
]


def model_of(folder: Path, name: str) -> TrainedModel:
    made = make_adapter(folder / name, name=name, rank=8, seed=len(name))
    return made.trained_model().model_copy(update={"base": BASE})


def args_of(case: Case, folder: Path, **rest: Any) -> HostingArgs:
    spec = EndpointSpec.model_validate(
        {
            "name": NAME,
            "base": BASE,
            "minReplicas": case.min_replicas,
            "maxReplicas": case.max_replicas,
            "options": {"region": "us-east-1", **case.options},
            "labels": {"stack": "prod"},
            "flags": case.flags,
        }
    )
    models = tuple(model_of(folder, name) for name in case.adapters)
    settings: Any = Told(Told(case.target_ms))
    return HostingArgs(tier("sagemaker"), models, spec, case.protect, settings=settings, **rest)


class Told:
    """As much of the settings as the component reads."""

    def __init__(self, value: Any) -> None:
        self.hosting = self.target_latency_ms = value


ADDED = {
    "aws:s3/bucket:Bucket": lambda name, _inputs: {"bucket": f"{name}-made"},
    "aws:iam/role:Role": lambda name, _inputs: {"name": f"{name}-made"},
    "aws:sagemaker/model:Model": lambda name, _inputs: {"name": f"{name}-made"},
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": lambda name, _inputs: {"name": f"{name}-made"},
    "takeover:index:Endpoint": lambda _name, _inputs: {"url": "https://e.example", "protocol": "sagemaker"},
}
CALLS = {"aws:index/getCallerIdentity:getCallerIdentity": {"accountId": "123456789012", "arn": "a", "userId": "u"}}


def made_by(case: Case, folder: Path, *, preview: bool = False, **rest: Any) -> Run:
    args = args_of(case, folder, **rest)
    run = record(lambda: made(args), stack="prod", outputs=ADDED, calls=CALLS, preview=preview)
    run.made = [replace(each, inputs=with_names(each.inputs)) for each in run.made]
    return run


def made(args: HostingArgs) -> None:
    SageMaker("hosting", args)


def with_names(value: Any) -> Any:
    """Files by their names alone."""
    if isinstance(value, pulumi.FileAsset):
        return f"file {Path(value.path).name}"
    if isinstance(value, dict):
        return {key: with_names(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_names(inner) for inner in value]
    return value.replace(str(Path(value).parent), "FOLDER") if is_path(value) else value


def is_path(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("/tmp/")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    return {case.id: made_by(case, tmp_path_factory.mktemp("made")) for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_whole_list_of_resources_is_the_one_that_was_read(case: Case, runs: dict[str, Run]) -> None:
    run = runs[case.id]
    said = [f"# says: {line}" for line in run.said] + [f"# WARNS: {line}" for line in run.warned]
    compare("\n".join([*said, as_yaml(run.made)]), case.file, rewrite=bool(os.environ.get("UPDATE_SNAPSHOTS")))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_preview_where_nothing_exists_yet_shows_the_same_resources(
    case: Case, runs: dict[str, Run], tmp_path: Path
) -> None:
    assert [each.key for each in made_by(case, tmp_path, preview=True).made] == [
        each.key for each in runs[case.id].made
    ]


def statements_of(run: Run) -> Iterator[dict[str, Any]]:
    for each in run.made:
        for key in ("policy", "assumeRolePolicy"):
            yield from each.inputs.get(key, {}).get("Statement", [])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_must_be_absent_is_absent(case: Case, runs: dict[str, Run]) -> None:
    run = runs[case.id]
    allowed = [each for each in statements_of(run) if each["Effect"] == "Allow" and "Principal" not in each]
    anything = [each for each in allowed if each["Resource"] == "*"]
    assert [each for each in anything if any("*" in action for action in each["Action"])] == []
    assert [each for each in anything if "Condition" not in each] == []
    assert [each.name for each in run.made if each.delete_before_replace] == []
    configurations = run.of("aws:sagemaker/endpointConfiguration:EndpointConfiguration")
    assert [each for each in configurations if {"name", "namePrefix", "kmsKeyArn"} & set(each.inputs)] == []
    buckets, blocks = run.of("aws:s3/bucket:Bucket"), run.of("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    assert [each for each in buckets if "acl" in each.inputs] == []
    assert len(blocks) == len(buckets)
    switches = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    assert [each for each in blocks if not all(each.inputs[name] for name in switches)] == []
    environments = [environment_of(each) for each in run.of("aws:sagemaker/model:Model")]
    secret = ("TOKEN", "SECRET", "PASSWORD", "API_KEY")
    assert [name for each in environments for name in each if any(word in name for word in secret)] == []


def environment_of(model: Recorded) -> dict[str, str]:
    found: dict[str, str] = model.inputs["primaryContainer"]["environment"]
    return found


def test_data_capture_is_off_unless_it_is_asked_for(runs: dict[str, Run]) -> None:
    kind = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
    asked = {name: ["dataCaptureConfig" in each.inputs for each in run.of(kind)] for name, run in runs.items()}
    assert asked == {
        "minimal": [False],
        "full": [True],
        "several adapters": [],
        "scale to zero": [],
        "private network": [False],
    }


def test_what_scales_goes_before_the_endpoint_and_alarms_stand_before_it(runs: dict[str, Run]) -> None:
    waits = {each.name.removeprefix(f"{NAME}-"): each.after for each in runs["minimal"].made}
    assert waits["target"] == [f"{NAME}-endpoint"]
    assert waits["concurrency"] == [f"{NAME}-target"]
    assert set(waits["endpoint"]) >= {f"{NAME}-configuration", f"{NAME}-latency", f"{NAME}-errors"}
    assert f"{NAME}-rights" in waits["model"]


def test_inference_components_come_after_the_role_s_rights_and_the_bucket_s_guards(runs: dict[str, Run]) -> None:
    endpoint = runs["several adapters"].of("takeover:index:Endpoint")[0]
    assert set(endpoint.after) >= {f"{NAME}-ic-rights", f"{NAME}-ic-files-private", f"{NAME}-ic-latency"}
    assert endpoint.inputs["spec"]["options"]["bucket"] == f"{NAME}-ic-files-made"


def test_only_the_endpoint_is_protected(runs: dict[str, Run]) -> None:
    assert [each.name for each in runs["full"].made if each.protect] == [f"{NAME}-endpoint"]


def test_vllm_gets_the_flags_that_the_fit_computed(tmp_path: Path) -> None:
    flags = asdict(VllmFlags(16, 1, 1, 4096, 32, 2048, 0.9, 1))
    run = made_by(replace(CASES[0], flags=flags), tmp_path)
    environment = environment_of(run.of("aws:sagemaker/model:Model")[0])
    assert {key: value for key, value in environment.items() if key.startswith("SM_VLLM_MAX")} == {
        "SM_VLLM_MAX_CPU_LORAS": "1",
        "SM_VLLM_MAX_LORAS": "1",
        "SM_VLLM_MAX_LORA_RANK": "16",
        "SM_VLLM_MAX_MODEL_LEN": "4096",
        "SM_VLLM_MAX_NUM_BATCHED_TOKENS": "2048",
        "SM_VLLM_MAX_NUM_SEQS": "32",
    }
    assert environment["SM_VLLM_ENABLE_LORA"] == "true"
