"""What a stack may say, read: the whole value is compared."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from takeover.errors import Refused
from takeover.settings import (
    AdapterSource,
    Budget,
    Hosting,
    LocalOptions,
    Settings,
    Workload,
    parse_settings,
    raw_from_stack_file,
    settings_from_stack_file,
)
from takeover.tiers import TIERS, Feature, Kind, Yes

ROOT = Path(__file__).parents[2]
DIGEST = "sha256:" + "3f" * 32
DEV = Hosting(environment="development", provider="local", coldStartTolerance="high", minReplicas=1, maxReplicas=1)
COMMITTED = "hf://acme/tone@" + "0a" * 20
FOLDER = AdapterSource(key="takeover:adapter", source="adapters/x", kind="folder")


@dataclass(frozen=True)
class Case:
    id: str
    given: dict[str, Any]
    want: Settings


CASES = [
    Case(
        "the shortest stack: development, local, a folder without a digest",
        {"hosting": {"environment": "development", "provider": "local"}, "adapter": {"source": "adapters/x"}},
        Settings(stack="dev", hosting=DEV, adapter_sources=(FOLDER,), local=LocalOptions()),
    ),
    Case(
        "everything that development may say",
        {
            "hosting": {"environment": "development", "provider": "local", "coldStartTolerance": "high"},
            "adapter": {"source": "/models/x", "digest": DIGEST},
            "workload": {"requestsPerDay": 10000, "tokensPerRequest": 500, "pattern": "diurnal"},
            "budget": {"monthlyUsd": 400},
            "local": {
                "engine": "http://127.0.0.1:9/v1",
                "port": 8321,
                "dtype": "bfloat16",
                "maxBatch": 4,
                "maxQueue": 5,
            }
            | {"contextLength": 512, "startTimeoutSeconds": 60, "drainSeconds": 0},
        },
        Settings(
            stack="dev",
            hosting=DEV,
            adapter_sources=(AdapterSource(key="takeover:adapter", source="/models/x", kind="folder", digest=DIGEST),),
            workload=Workload(requestsPerDay=10000, tokensPerRequest=500, pattern="diurnal"),
            budget=Budget(monthlyUsd=400.0),
            local=LocalOptions(
                engine="http://127.0.0.1:9/v1",
                port=8321,
                dtype="bfloat16",
                maxBatch=4,
                maxQueue=5,
                contextLength=512,
                startTimeoutSeconds=60,
                drainSeconds=0,
            ),
        ),
    ),
    Case(
        "several adapters keep their order and know their keys",
        {
            "hosting": {"environment": "development", "provider": "local"},
            "adapters": [{"source": "b"}, {"source": "a", "digest": DIGEST}],
        },
        Settings(
            stack="dev",
            hosting=DEV,
            adapter_sources=(
                AdapterSource(key="takeover:adapters[0]", source="b", kind="folder"),
                AdapterSource(key="takeover:adapters[1]", source="a", kind="folder", digest=DIGEST),
            ),
            local=LocalOptions(),
        ),
    ),
    Case(
        "what other tiers are told stays in the file, so that one line moves the stack there and back",
        {
            "hosting": {"environment": "development", "provider": "local"},
            "adapter": {"source": "adapters/x"},
            "local": {"port": 8321},
            "modal": {"gpu": "T4"},
            "dedicated-vllm": {"sharedPath": "/mnt/adapters"},
        },
        Settings(
            stack="dev",
            hosting=DEV,
            adapter_sources=(FOLDER,),
            local=LocalOptions(port=8321),
            unused=("takeover:modal", "takeover:dedicated-vllm"),
        ),
    ),
    Case(
        "adapters by address: a digest in the text of the source counts",
        {
            "hosting": {"environment": "development", "provider": "local"},
            "adapters": [
                {"source": COMMITTED, "digest": DIGEST},
                {"source": "s3://acme/adapters/tone", "digest": DIGEST},
                {"source": f"gs://acme/tone@{DIGEST}"},
                {"source": f"published/tone@{DIGEST}"},
            ],
        },
        Settings(
            stack="dev",
            hosting=DEV,
            adapter_sources=(
                AdapterSource(key="takeover:adapters[0]", source=COMMITTED, kind="hf", digest=DIGEST),
                AdapterSource(key="takeover:adapters[1]", source="s3://acme/adapters/tone", kind="s3", digest=DIGEST),
                AdapterSource(key="takeover:adapters[2]", source=f"gs://acme/tone@{DIGEST}", kind="gs", digest=DIGEST),
                AdapterSource(
                    key="takeover:adapters[3]", source=f"published/tone@{DIGEST}", kind="file", digest=DIGEST
                ),
            ),
            local=LocalOptions(),
        ),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_settings_are_read(case: Case) -> None:
    raw = {key: json.dumps(value) for key, value in case.given.items()}
    assert parse_settings(raw, stack="dev") == case.want


SERVERLESS = replace(
    TIERS["local"],
    name="modal",
    kind=Kind.SERVERLESS_GPU,
    environments=("staging",),
    supports=MappingProxyType({**TIERS["local"].supports, Feature.SCALE_TO_ZERO: Yes()}),
)
DEDICATED = replace(TIERS["local"], name="dedicated-vllm", kind=Kind.DEDICATED_GPU, environments=("production",))
BUILT = MappingProxyType({"modal": SERVERLESS, "dedicated-vllm": DEDICATED})


@pytest.mark.parametrize(
    ("given", "want"),
    [
        pytest.param(
            {"environment": "staging", "provider": "modal", "coldStartTolerance": "medium", "maxColdStartMs": 15000},
            Hosting(
                environment="staging",
                provider="modal",
                coldStartTolerance="medium",
                maxColdStartMs=15000,
                minReplicas=0,
                maxReplicas=1,
            ),
            id="staging as the evaluation has it, from zero to one replica",
        ),
        pytest.param(
            {"environment": "production", "provider": "dedicated-vllm", "cluster": "eks", "coldStartTolerance": "none"}
            | {"minReplicas": 1, "maxReplicas": 1, "targetLatencyMs": 200},
            Hosting(
                environment="production",
                provider="dedicated-vllm",
                cluster="eks",
                coldStartTolerance="none",
                minReplicas=1,
                maxReplicas=1,
                targetLatencyMs=200,
            ),
            id="production as the evaluation has it",
        ),
    ],
)
def test_the_evaluations_other_environments_are_read(given: dict[str, Any], want: Hosting) -> None:
    raw = {"hosting": json.dumps(given), "adapter": json.dumps({"source": "x", "digest": DIGEST})}
    # Where a cluster is, the evaluation does not say.
    raw["eks"] = json.dumps(
        {"region": "us-east-1", "instanceType": "g6e.2xlarge", "zones": ["us-east-1a", "us-east-1b"], "scheme": "none"}
    )
    assert parse_settings(raw, stack="s", tiers=BUILT).hosting == want


def test_options_carry_every_value_that_the_tier_would_default() -> None:
    raw = {
        "hosting": '{"environment": "development", "provider": "local"}',
        "adapter": '{"source": "x"}',
        "local": '{"port": 8321}',
    }
    assert parse_settings(raw, stack="dev").options() == {
        "engine": "takeover",
        "port": 8321,
        "dtype": "auto",
        "maxBatch": 8,
        "maxQueue": 64,
        "startTimeoutSeconds": 300,
        "drainSeconds": 30,
    }


def test_the_committed_dev_stack_is_valid() -> None:
    settings = settings_from_stack_file(ROOT / "Pulumi.dev.yaml")
    assert (settings.stack, settings.hosting) == ("dev", DEV)
    assert settings.adapter_sources == (FOLDER.model_copy(update={"source": "adapters/support-tone"}),)


def test_a_stack_file_gives_the_projects_keys_as_pulumi_hands_them_over(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.s.yaml"
    path.write_text(
        "encryptionsalt: v1:x\nconfig:\n  aws:region: eu\n  takeover:hosting: {a: 1, b: [true]}\n  takeover:x: y\n"
    )
    assert raw_from_stack_file(path) == {"hosting": '{"a": 1, "b": [true]}', "x": "y"}


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param(
            "config: [1]\n",
            "{path}: config in Pulumi.s.yaml is no mapping\n  Write the settings under config:.",
            id="a list as config",
        ),
        pytest.param("config: {a: 1, a: 2}\n", "Pulumi.s.yaml is no readable YAML", id="a key twice"),
        pytest.param("config: [\n", "Pulumi.s.yaml is no readable YAML", id="an open bracket"),
    ],
)
def test_a_stack_file_that_cannot_be_read_is_refused(tmp_path: Path, text: str, want: str) -> None:
    path = tmp_path / "Pulumi.s.yaml"
    path.write_text(text)
    with pytest.raises(Refused) as caught:
        raw_from_stack_file(path)
    assert want.format(path=path) in str(caught.value)


def test_a_missing_stack_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.s.yaml"
    with pytest.raises(Refused) as caught:
        settings_from_stack_file(path)
    assert str(caught.value) == (
        f"{path}: there is no file Pulumi.s.yaml\n  Name a stack that has one, or copy Pulumi.dev.yaml."
    )
