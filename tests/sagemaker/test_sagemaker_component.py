"""The component under recording mocks: whole lists of resources against files that can be read, and what is absent.

`UPDATE_SNAPSHOTS=1 pytest tests/sagemaker/test_sagemaker_component.py` writes the files anew; read the difference.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes.artifacts import make_adapter
from recorded import Recorded, record, snapshot

from components.hosting import HostingArgs
from components.sagemaker import SageMaker
from takeover.planning.fit import VllmFlags
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.tiers import tier

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pulumi_aws")
FOLDER = Path(__file__).parent / "snapshots"
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
            "name": "demo-prod-1a2b3c4d",
            "base": BASE,
            "minReplicas": case.min_replicas,
            "maxReplicas": case.max_replicas,
            "options": {"region": "us-east-1", **case.options},
            "labels": {"stack": "prod"},
        }
    )
    models = tuple(model_of(folder, name) for name in case.adapters)
    settings: Any = Told(Told(case.target_ms))
    return HostingArgs(tier("sagemaker"), models, spec, case.protect, settings=settings, **rest)


class Told:
    """As much of the settings as the component reads."""

    def __init__(self, value: Any) -> None:
        self.hosting = self.target_latency_ms = value


def made_by(case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch, **rest: Any) -> Recorded:
    args = args_of(case, folder, **rest)
    return record(lambda: SageMaker("hosting", args), monkeypatch)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_whole_list_of_resources_is_the_one_that_was_read(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = snapshot(made_by(case, tmp_path, monkeypatch)).replace(str(tmp_path), "FOLDER")
    write_if_asked(case.file, found)
    assert found == case.file.read_text()


def write_if_asked(file: Path, text: str) -> None:
    if os.environ.get("UPDATE_SNAPSHOTS"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)


@pytest.fixture(scope="module")
def all_made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Recorded]]:
    with pytest.MonkeyPatch.context() as patch:
        yield {case.id: made_by(case, tmp_path_factory.mktemp("made"), patch) for case in CASES}


def statements_of(recorded: Recorded) -> Iterator[dict[str, Any]]:
    for each in recorded.resources:
        for key in ("policy", "assumeRolePolicy"):
            yield from each["inputs"].get(key, {}).get("Statement", [])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_must_be_absent_is_absent(case: Case, all_made: dict[str, Recorded]) -> None:
    made = all_made[case.id]
    allowed = [each for each in statements_of(made) if each["Effect"] == "Allow" and "Principal" not in each]
    assert [
        each for each in allowed if "*" in each["Resource"] and any("*" in action for action in each["Action"])
    ] == []
    assert [each for each in allowed if each["Resource"] == "*" and "Condition" not in each] == []
    assert [each["name"] for each in made.resources if "deleteBeforeReplace" in each["flags"]] == []
    configurations = made.of("aws:sagemaker/endpointConfiguration:EndpointConfiguration")
    assert [each for each in configurations if {"name", "namePrefix"} & set(each["inputs"])] == []
    assert [each for each in configurations if "kmsKeyArn" in each["inputs"]] == []
    buckets, blocks = made.of("aws:s3/bucket:Bucket"), made.of("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    assert [each for each in buckets if "acl" in each["inputs"]] == []
    assert len(blocks) == len(buckets)
    switches = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    assert [each for each in blocks if not all(each["inputs"][name] for name in switches)] == []
    environments = [each["inputs"]["primaryContainer"]["environment"] for each in made.of("aws:sagemaker/model:Model")]
    assert [
        name for each in environments for name in each if "TOKEN" in name or "KEY" in name or "SECRET" in name
    ] == []


def test_data_capture_is_off_unless_it_is_asked_for(all_made: dict[str, Recorded]) -> None:
    kind = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
    asked = {name: ["dataCaptureConfig" in each["inputs"] for each in made.of(kind)] for name, made in all_made.items()}
    assert asked == {
        "minimal": [False],
        "full": [True],
        "several adapters": [],
        "scale to zero": [],
        "private network": [False],
    }


def test_what_scales_goes_before_the_endpoint_and_alarms_stand_before_it(all_made: dict[str, Recorded]) -> None:
    made = all_made["minimal"]
    waits = {each["name"].removeprefix("demo-prod-1a2b3c4d-"): each["waitsFor"] for each in made.resources}
    name = "demo-prod-1a2b3c4d"
    assert waits["target"] == [f"{name}-endpoint"]
    assert waits["concurrency"] == [f"{name}-target"]
    assert set(waits["endpoint"]) >= {f"{name}-configuration", f"{name}-latency", f"{name}-errors"}
    assert f"{name}-rights" in waits["model"]


def test_only_the_endpoint_is_protected(all_made: dict[str, Recorded]) -> None:
    kept = [each["name"] for each in all_made["full"].resources if "protect" in each["flags"]]
    assert kept == ["demo-prod-1a2b3c4d-endpoint"]


def test_vllm_gets_the_flags_that_the_fit_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit: Any = Told(None)
    fit.flags = VllmFlags(16, 1, 1, 4096, 32, 2048, 0.9, 1)
    made = made_by(CASES[0], tmp_path, monkeypatch, fit=fit)
    environment = made.of("aws:sagemaker/model:Model")[0]["inputs"]["primaryContainer"]["environment"]
    flags = {key: value for key, value in environment.items() if key.startswith("SM_VLLM_MAX")}
    assert flags == {
        "SM_VLLM_MAX_CPU_LORAS": "1",
        "SM_VLLM_MAX_LORAS": "1",
        "SM_VLLM_MAX_LORA_RANK": "16",
        "SM_VLLM_MAX_MODEL_LEN": "4096",
        "SM_VLLM_MAX_NUM_BATCHED_TOKENS": "2048",
        "SM_VLLM_MAX_NUM_SEQS": "32",
    }
    assert json.dumps(environment).count("ENABLE_LORA") == 1
