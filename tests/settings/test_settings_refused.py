"""Wrong settings: one valid stack with one change each, and the whole message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from takeover.errors import Refusals, Refused
from takeover.settings import parse_settings
from takeover.tiers import TIERS

DIGEST = "sha256:" + "3f" * 32
# So that a message that names the other tiers does not change with each one that is built.
ONLY_LOCAL = MappingProxyType({"local": TIERS["local"]})
VALID: dict[str, Any] = {
    "hosting": {"environment": "development", "provider": "local", "coldStartTolerance": "high"},
    "adapter": {"source": "adapters/x", "digest": DIGEST},
    "workload": {"requestsPerDay": 200, "tokensPerRequest": 300},
    "budget": {"monthlyUsd": 0},
    "local": {"port": 8321},
}
GONE = object()
HOSTING_KEYS = (
    "environment, provider, cluster, coldStartTolerance, maxColdStartMs, minReplicas, maxReplicas, targetLatencyMs, "
    "protect"
)
TOP_KEYS = (
    "takeover:hosting, takeover:adapter, takeover:adapters, takeover:previous, takeover:workload, takeover:budget, "
    "takeover:local, takeover:modal, takeover:dedicated-vllm, takeover:kubernetes, takeover:eks, takeover:sagemaker"
)
USE = "`takeover adapter use DIR --stack STACK` writes source and digest."
PRODUCTION = {"environment": "production", "provider": "local", "minReplicas": 1, "maxReplicas": 1}
LOCAL_ELSEWHERE = (
    "takeover:hosting.provider is local, but local is for development only, not for {0}.\n"
    "  local is a process on this machine; costs nothing, serves one laptop.\n"
    "  No other provider for {0} is built yet; set takeover:hosting.environment: development."
)


@dataclass(frozen=True)
class Case:
    """`change` maps dotted keys to new values (GONE removes); `text` replaces a key's whole raw text."""

    id: str
    change: Mapping[str, Any]
    want: str
    text: Mapping[str, str] = field(default_factory=dict)


CASES = [
    Case(
        "an unknown key of the stack, with a suggestion",
        {"hostng": {}},
        f"takeover:hostng is not a setting.\n  Did you mean hosting? The keys are {TOP_KEYS}.",
    ),
    Case(
        "no hosting",
        {"hosting": GONE},
        "takeover:hosting is missing.\n  Add it, for example {environment: development, provider: local}.",
    ),
    Case(
        "hosting as bare text",
        {},
        "takeover:hosting is development, but must be a mapping.\n  Its keys are " + HOSTING_KEYS + ".",
        text={"hosting": "development"},
    ),
    Case(
        "hosting empty",
        {"hosting": None},
        "takeover:hosting is null, but must be a mapping.\n  Its keys are " + HOSTING_KEYS + ".",
    ),
    Case(
        "an unknown key of hosting, with a suggestion",
        {"hosting.minReplica": 1},
        "takeover:hosting.minReplica is not a key of takeover:hosting.\n"
        f"  Did you mean minReplicas? The keys are {HOSTING_KEYS}.",
    ),
    Case(
        "an unknown key of hosting like none",
        {"hosting.zone": 1},
        f"takeover:hosting.zone is not a key of takeover:hosting.\n  The keys are {HOSTING_KEYS}.",
    ),
    Case(
        "snake_case in place of camelCase",
        {"hosting.cold_start_tolerance": "high", "hosting.coldStartTolerance": GONE},
        "takeover:hosting.cold_start_tolerance is not a key of takeover:hosting.\n"
        f"  Did you mean coldStartTolerance? The keys are {HOSTING_KEYS}.",
    ),
    Case(
        "no environment",
        {"hosting.environment": GONE},
        "takeover:hosting.environment is missing.\n  Add it: development, staging or production.",
    ),
    Case(
        "an unknown environment, with a suggestion",
        {"hosting.environment": "develop"},
        "takeover:hosting.environment is develop, but must be development, staging or production.\n"
        "  Did you mean development?",
    ),
    Case("no provider", {"hosting.provider": GONE}, "takeover:hosting.provider is missing.\n  Add it."),
    Case(
        "a provider that is a number",
        {"hosting.provider": 7},
        "takeover:hosting.provider is 7, but must be text.\n  Put it in quotes.",
    ),
    Case(
        "a provider that the evaluation names and that is not built",
        {"hosting.provider": "huggingface-free", "local": GONE},
        "takeover:hosting.provider is huggingface-free, which is not built yet.\n"
        "  Built so far: local (for development).\n  Choose one of these.",
    ),
    Case(
        "a provider that does not exist, with a suggestion",
        {"hosting.provider": "lcoal", "local": GONE},
        "takeover:hosting.provider is lcoal, but there is no such provider.\n"
        "  Built so far: local (for development).\n  Did you mean local?",
    ),
    Case(
        "local in staging",
        {"hosting": {"environment": "staging", "provider": "local", "maxColdStartMs": 15000}},
        LOCAL_ELSEWHERE.format("staging"),
    ),
    Case(
        "local in production", {"hosting": {**PRODUCTION, "targetLatencyMs": 200}}, LOCAL_ELSEWHERE.format("production")
    ),
    Case(
        "a tolerance of another environment",
        {"hosting.coldStartTolerance": "none"},
        "takeover:hosting.coldStartTolerance is none, but development has high: one person waits.\n"
        "  Write high, or leave the key out.",
    ),
    Case(
        "a tolerance that does not exist",
        {"hosting.coldStartTolerance": "low"},
        "takeover:hosting.coldStartTolerance is low, but must be high, medium or none.",
    ),
    Case(
        "a bound for cold starts in development",
        {"hosting.maxColdStartMs": 15000},
        "takeover:hosting.maxColdStartMs is 15000, but development has no maxColdStartMs.\n"
        "  Remove it; staging has it.",
    ),
    Case(
        "replicas in development",
        {"hosting.maxReplicas": 2},
        "takeover:hosting.maxReplicas is 2, but development has no maxReplicas.\n"
        "  Remove it; staging or production has it.",
    ),
    Case(
        "a number in quotes",
        {"local.maxBatch": "3"},
        'takeover:local.maxBatch is "3", but must be a whole number.\n  Write it in digits, without quotes.',
    ),
    Case(
        "a boolean where a number belongs",
        {"local.maxBatch": True},
        "takeover:local.maxBatch is true, but must be a whole number.\n  Write it in digits, without quotes.",
    ),
    Case(
        "a broken number where a whole one belongs",
        {"workload.requestsPerDay": 2.5},
        "takeover:workload.requestsPerDay is 2.5, but must be a whole number.\n  Write it in digits, without quotes.",
    ),
    Case(
        "zero requests",
        {"workload.requestsPerDay": 0},
        "takeover:workload.requestsPerDay is 0, but must be more than 0.",
    ),
    Case("no tokens", {"workload.tokensPerRequest": GONE}, "takeover:workload.tokensPerRequest is missing.\n  Add it."),
    Case(
        "an unknown pattern",
        {"workload.pattern": "daily"},
        "takeover:workload.pattern is daily, but must be steady, diurnal or spiky.",
    ),
    Case("a budget below zero", {"budget.monthlyUsd": -1}, "takeover:budget.monthlyUsd is -1, but must be at least 0."),
    Case(
        "a budget as text",
        {"budget.monthlyUsd": "400"},
        'takeover:budget.monthlyUsd is "400", but must be a number.\n  Write it without quotes.',
    ),
    Case(
        "a budget without end",
        {},
        "takeover:budget.monthlyUsd is Infinity, but must be a finite number.",
        text={"budget": '{"monthlyUsd": 1e999}'},
    ),
    Case("a port out of range", {"local.port": 65536}, "takeover:local.port is 65536, but must be at most 65535."),
    Case(
        "an unknown dtype",
        {"local.dtype": "fp16"},
        "takeover:local.dtype is fp16, but must be auto, float32 or bfloat16.",
    ),
    Case(
        "an engine that is neither a name nor an address",
        {"local.engine": "tgi"},
        "takeover:local.engine is tgi, but must be takeover, vllm, or the URL of a running server.",
    ),
    Case(
        "what a terminal would obey",
        {"local.dtype": "\x1b[2Jx"},
        'takeover:local.dtype is "\\u001b[2Jx", but must be auto, float32 or bfloat16.',
    ),
    Case(
        "a key twice",
        {},
        "takeover:local.port is set twice.\n  Remove one of the two.",
        text={"local": '{"port": 80, "port": 81}'},
    ),
    Case(
        "no adapter",
        {"adapter": GONE},
        "takeover:adapter and takeover:adapters are both missing.\n"
        "  Name one adapter under adapter, or several on one base under adapters.",
    ),
    Case(
        "adapter and adapters",
        {"adapters": [{"source": "y"}]},
        "takeover:adapter and takeover:adapters are both set.\n"
        "  Name one adapter under adapter, or several on one base under adapters.",
    ),
    Case(
        "an adapter as bare text",
        {},
        "takeover:adapter is adapters/x, but must be a mapping.\n  Its keys are source, digest.",
        text={"adapter": "adapters/x"},
    ),
    Case(
        "an empty list of adapters",
        {"adapter": GONE, "adapters": []},
        "takeover:adapters is [], but must be a list of at least one adapter.\n  Each item has a source and a digest.",
    ),
    Case(
        "one of several adapters without a source",
        {"adapter": GONE, "adapters": [{"source": "a"}, {"digest": DIGEST}]},
        "takeover:adapters[1].source is missing.\n  Add it.",
    ),
    Case(
        "one folder twice",
        {"adapter": GONE, "adapters": [{"source": "a"}, {"source": "a/"}]},
        "takeover:adapters[1].source is a/, which takeover:adapters[0].source names already.\n  Remove one of the two.",
    ),
    Case(
        "a digest cut short",
        {"adapter.digest": "sha256:3f"},
        "takeover:adapter.digest is sha256:3f, but must be sha256: and 64 small hexadecimal digits.\n  " + USE,
    ),
    Case("no source", {"adapter.source": ""}, f'takeover:adapter.source is "", but must name a folder.\n  {USE}'),
    Case(
        "a branch where a commit belongs",
        {"adapter.source": "hf://acme/tone@main"},
        "takeover:adapter.source is hf://acme/tone@main, but main is no commit.\n"
        "  A branch or a tag moves; what is deployed must not.\n"
        "  `takeover adapter use hf://acme/tone@main --stack STACK` writes the commit and the digest.",
    ),
    Case(
        "a repository without a commit",
        {"adapter.source": "hf://acme/tone"},
        "takeover:adapter.source is hf://acme/tone, but must be hf://OWNER/NAME@COMMIT.\n"
        "  `takeover adapter use hf://acme/tone --stack STACK` writes the commit and the digest.",
    ),
    Case(
        "no name of a repository",
        {"adapter.source": "hf://acme@" + "0a" * 20},
        f"takeover:adapter.source is hf://acme@{'0a' * 20}, but must be hf://OWNER/NAME@COMMIT.\n"
        "  Name the repository and the commit.",
    ),
    Case(
        "a bucket without a folder",
        {"adapter.source": "s3://acme"},
        "takeover:adapter.source is s3://acme, but must be s3://BUCKET/FOLDER@sha256:DIGEST.\n"
        "  Name the bucket and the folder in it.",
    ),
    Case(
        "a digest in the source and another beside it",
        {"adapter.source": f"s3://acme/tone@sha256:{'0' * 64}"},
        f"takeover:adapter.digest is {DIGEST}, but the source beside it is s3://acme/tone@sha256:{'0' * 64}.\n"
        "  Name one digest, in one of the two places.",
    ),
    Case(
        "an address of another kind",
        {"adapter.source": "https://acme.test/x"},
        "takeover:adapter.source is https://acme.test/x, but https:// is no place for adapters.\n"
        "  Name a folder by its path, or use hf://, s3:// or gs://.",
    ),
]


def raw_of(case: Case) -> dict[str, str]:
    """The valid stack with the case's change, as Pulumi's config holds it."""
    stack = deepcopy(VALID)
    for dotted, value in case.change.items():
        *path, last = dotted.split(".")
        parent = stack
        for name in path:
            parent = parent[name]
        parent[last] = value
    dropped = {key: drop_gone(value) for key, value in stack.items() if value is not GONE}
    return {key: json.dumps(value) for key, value in dropped.items()} | dict(case.text)


def drop_gone(value: Any) -> Any:
    return {key: item for key, item in value.items() if item is not GONE} if isinstance(value, dict) else value


def test_without_a_change_the_stack_is_valid() -> None:
    assert parse_settings(raw_of(Case("", {}, "")), stack="dev").stack == "dev"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_one_wrong_setting_gives_one_message(case: Case) -> None:
    with pytest.raises(Refusals) as caught:
        parse_settings(raw_of(case), stack="dev", tiers=ONLY_LOCAL)
    assert [str(mistake) for mistake in caught.value.mistakes] == [case.want]


@pytest.mark.parametrize(
    ("environment", "missing"),
    [
        ("staging", ["maxColdStartMs: 15000"]),
        ("production", ["minReplicas: 1", "maxReplicas: 10", "targetLatencyMs: 200"]),
    ],
)
def test_what_an_environment_needs_is_asked_for_with_an_example(environment: str, missing: list[str]) -> None:
    case = Case("", {"hosting": {"environment": environment, "provider": "local"}}, "")
    with pytest.raises(Refusals) as caught:
        parse_settings(raw_of(case), stack="s", tiers=ONLY_LOCAL)
    wanted = [
        f"takeover:hosting.{name.partition(':')[0]} is missing: {environment} needs it.\n  Add it, for example {name}."
        for name in missing
    ]
    assert [str(mistake) for mistake in caught.value.mistakes] == [*wanted, LOCAL_ELSEWHERE.format(environment)]


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_a_digest_is_needed_outside_of_development(environment: str) -> None:
    case = Case("", {"hosting.environment": environment, "adapter.digest": GONE}, "")
    with pytest.raises(Refusals) as caught:
        parse_settings(raw_of(case), stack="s", tiers=ONLY_LOCAL)
    wanted = f"takeover:adapter.digest is missing: {environment} deploys an adapter only by its digest.\n  {USE}"
    assert wanted in [str(mistake) for mistake in caught.value.mistakes]


def test_in_development_an_address_needs_a_digest_too() -> None:
    source = "hf://a/b@" + "0a" * 20
    case = Case("", {"adapter": {"source": source}}, "")
    with pytest.raises(Refusals) as caught:
        parse_settings(raw_of(case), stack="s", tiers=ONLY_LOCAL)
    assert [str(mistake).splitlines()[0] for mistake in caught.value.mistakes] == [
        f"takeover:adapter.digest is missing: only a folder may go without, and {source} is none.",
    ]


def test_all_mistakes_are_told_at_once_as_a_numbered_list() -> None:
    case = Case("", {"hosting.minReplica": 1, "adapter.digest": "x", "local.port": -1, "bugdet": 3}, "")
    with pytest.raises(Refusals) as caught:
        parse_settings(raw_of(case), stack="dev", tiers=ONLY_LOCAL)
    assert str(caught.value).splitlines()[0] == "the settings of the stack dev: 4 mistakes"
    assert [mistake.where for mistake in caught.value.mistakes] == [
        "takeover:bugdet",
        "takeover:hosting.minReplica",
        "takeover:adapter.digest",
        "takeover:local.port",
    ]
    assert str(caught.value).count("\n4. takeover:local.port is -1, but must be at least 0.") == 1


def test_a_mistake_is_a_refusal_with_its_key_apart() -> None:
    with pytest.raises(Refused) as caught:
        parse_settings(raw_of(Case("", {"local.port": -1}, "")), stack="dev")
    assert caught.value.exit_code == 2
    assert caught.value.mistakes[0].parts() == {  # type: ignore[attr-defined]
        "error": "WrongSetting",
        "happened": "takeover:local.port is -1, but must be at least 0.",
        "why": "",
        "fix": "",
        "where": "takeover:local.port",
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
PLACES = [(key, name) for key, value in VALID.items() for name in (None, *value)]


def mistakes_of(raw: dict[str, str]) -> list[str]:
    """What is wrong, as text that a terminal can show; anything but a refusal passes through as it is."""
    try:
        parse_settings(raw, stack="dev")
    except Refusals as refusals:
        return [str(mistake).encode().decode() for mistake in refusals.mistakes]
    return []


@settings(max_examples=150)
@given(place=st.sampled_from(PLACES), value=JSON)
def test_whatever_stands_at_one_place_is_read_or_refused_by_its_key(place: tuple[str, str | None], value: Any) -> None:
    key, name = place
    changed = value if name is None else {**VALID[key], name: value}
    raw = {each: json.dumps(changed if each == key else content) for each, content in VALID.items()}
    assert [text for text in mistakes_of(raw) if not text.startswith(f"takeover:{key}")] == []


@settings(max_examples=150)
@given(text=st.text())
def test_whatever_text_a_key_holds_is_read_or_refused_by_its_key(text: str) -> None:
    raw = {key: json.dumps(value) for key, value in VALID.items()} | {"local": text}
    assert [text for text in mistakes_of(raw) if not text.startswith("takeover:local")] == []
