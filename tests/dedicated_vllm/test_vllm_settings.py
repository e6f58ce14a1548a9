"""`takeover:dedicated-vllm` and the variables: what may be said, and one message for each mistake."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from takeover.errors import Refusals, Refused
from takeover.providers._vllm_options import Cluster, cluster_of, parse_options
from takeover.settings import DedicatedVllmOptions, parse_settings
from takeover.tiers import TIERS

DIGEST = "sha256:" + "3f" * 32
PRODUCTION = {
    "environment": "production",
    "provider": "dedicated-vllm",
    "cluster": "existing",
    "minReplicas": 1,
    "maxReplicas": 10,
    "targetLatencyMs": 200,
}


def raw(options: Mapping[str, Any], **hosting: Any) -> dict[str, str]:
    values = {
        "hosting": {**PRODUCTION, **hosting},
        "adapter": {"source": "adapters/x", "digest": DIGEST},
        "dedicated-vllm": options,
    }
    return {key: json.dumps(value) for key, value in values.items()}


@dataclass(frozen=True)
class Case:
    id: str
    options: Mapping[str, Any]
    want: str


KEY = "takeover:dedicated-vllm"
CASES = [
    Case(
        "an engine that is archived",
        {"engine": "tgi"},
        f"{KEY}.engine is tgi, but TGI was archived on 2026-03-21 and loads no adapter at run time.\n"
        "  Use vllm, or sglang.",
    ),
    Case(
        "an engine that nobody knows",
        {"engine": "vlm"},
        f"{KEY}.engine is vlm, but must be vllm, sglang or tgi.\n  Did you mean vllm?",
    ),
    Case(
        "a replica's address that is none",
        {"replicaUrls": ["http://a:8000", "10.0.0.2:8000"]},
        f"{KEY}.replicaUrls[1] is 10.0.0.2:8000, but must be http:// or https://, a host, and a port where it is "
        "another one.",
    ),
    Case(
        "a key in a replica's address",
        {"replicaUrls": ["http://user:pass@a:8000"]},
        f"{KEY}.replicaUrls[0] holds a name or a password.\n  Leave it out: the key is in VLLM_API_KEY.",
    ),
    Case(
        "a replica twice",
        {"replicaUrls": ["http://a:8000/v1", "http://a:8000"]},
        f"{KEY}.replicaUrls[1] is http://a:8000, which is named already.\n  Name it once.",
    ),
    Case(
        "two ways to find the replicas",
        {"replicaUrls": ["http://a:8000"], "resolve": "dns"},
        f"{KEY}.resolve is dns, but replicaUrls names the replicas already.\n  Keep one of the two.",
    ),
    Case(
        "a shared folder by a relative path",
        {"sharedPath": "mnt/adapters"},
        f"{KEY}.sharedPath is mnt/adapters, but must be a folder's whole path.",
    ),
    Case(
        "the server's side of the folder without ours",
        {"sharedPathThere": "/adapters"},
        f"{KEY}.sharedPathThere is set, but sharedPath is not.\n  Name the same folder as it is seen from here too.",
    ),
    Case(
        "a place to pull from that nobody uses",
        {"pullFrom": "acme/{name}-{digest12}"},
        f"{KEY}.pullFrom is set, but adapterFiles is shared-path.\n  Remove it, or set adapterFiles: server-pulls.",
    ),
    Case(
        "a server that pulls from nowhere",
        {"adapterFiles": "server-pulls"},
        f"{KEY}.pullFrom is missing: with adapterFiles: server-pulls the server is told where to pull from.\n"
        "  Add it, for example pullFrom: acme/{name}-{digest12} (a Hub repository for each version).",
    ),
    Case(
        "a repository that moves",
        {"adapterFiles": "server-pulls", "pullFrom": "acme/tone"},
        f"{KEY}.pullFrom is acme/tone, which names no version.\n"
        "  A server that pulls from the Hub takes the newest commit, and cannot be told another one: what it serves "
        "would change with the next push, under the same name.\n"
        "  Put {digest12} into the name, so that each version has a repository of its own, or use shared-path.",
    ),
    Case(
        "a place in the name that stands for nothing",
        {"adapterFiles": "server-pulls", "pullFrom": "acme/{nmae}-{digest}"},
        f"{KEY}.pullFrom is acme/{{nmae}}-{{digest}}, but {{nmae}} stands for nothing.\n"
        "  The places are {name}, {digest}, {digest12}.",
    ),
    Case(
        "a shared folder where the server pulls",
        {"adapterFiles": "server-pulls", "pullFrom": "/srv/{digest}", "sharedPath": "/mnt"},
        f"{KEY}.sharedPath is set, but adapterFiles is server-pulls.\n  Remove it.",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_one_wrong_option_gives_one_message(case: Case) -> None:
    with pytest.raises(Refusals) as caught:
        parse_settings(raw(case.options), stack="prod")
    assert [str(mistake) for mistake in caught.value.mistakes] == [case.want]


def test_the_provider_asks_the_same_rules_for_those_who_have_no_stack() -> None:
    with pytest.raises(Refusals) as caught:
        parse_options({"adapterFiles": "server-pulls", "pullFrom": "acme/tone", "sharedPath": "/mnt"})
    assert len(caught.value.mistakes) == 2
    with pytest.raises(Refusals, match=r"takeover:dedicated-vllm\.agreements"):
        parse_options({"agreements": 0})


def test_all_options_are_read() -> None:
    options = {
        "engine": "sglang",
        "replicaUrls": ["http://a:8000", "https://b.example/pod/1"],
        "agreements": 4,
        "baseModel": "llama",
        "sharedPath": "/mnt/adapters",
        "sharedPathThere": "/adapters",
        "drainSeconds": 60,
    }
    settings = parse_settings(raw(options), stack="prod")
    assert settings.dedicated_vllm == DedicatedVllmOptions.model_validate(options)
    assert parse_options(settings.options()) == settings.dedicated_vllm


@pytest.mark.parametrize("cluster", ["runpod", "lambda", "vast"])
def test_a_cluster_that_is_not_built_yet_is_refused_with_the_way_out(cluster: str) -> None:
    with pytest.raises(Refusals) as caught:
        parse_settings(raw({}, cluster=cluster), stack="prod")
    assert [str(mistake) for mistake in caught.value.mistakes] == [
        f"takeover:hosting.cluster is {cluster}, but a cluster of the kind {cluster} is not built yet.\n"
        "  Use kubernetes, eks, or existing with the address of servers that run there in VLLM_CLUSTER_URL."
    ]


def test_one_line_moves_a_stack_here_from_the_laptop() -> None:
    hosting = {"environment": "development", "provider": "dedicated-vllm"}
    settings = parse_settings(
        {"hosting": json.dumps(hosting), "adapter": json.dumps({"source": "adapters/x"})}, stack="dev"
    )
    assert settings.dedicated_vllm == DedicatedVllmOptions()
    assert settings.hosting.is_protected is False


def test_staging_keeps_a_replica_because_the_tier_cannot_be_at_zero() -> None:
    hosting = {"environment": "staging", "provider": "dedicated-vllm", "maxColdStartMs": 15000}
    given = {"hosting": json.dumps(hosting), "adapter": json.dumps({"source": "x", "digest": DIGEST})}
    assert parse_settings(given, stack="staging").hosting.min_replicas == 1


@pytest.mark.parametrize(("protect", "want"), [(None, True), (True, True), (False, False)])
def test_production_is_protected_unless_it_says_otherwise(protect: bool | None, want: bool) -> None:
    changes = {} if protect is None else {"protect": protect}
    assert parse_settings(raw({}, **changes), stack="prod").hosting.is_protected is want


VARIABLES = [
    ({"VLLM_CLUSTER_URL": "https://vllm.example/v1/"}, Cluster("https://vllm.example", None, None)),
    (
        {"VLLM_CLUSTER_URL": " http://10.0.0.7:8000 ", "VLLM_API_KEY": "k", "VLLM_ADMIN_API_KEY": "a"},
        Cluster("http://10.0.0.7:8000", SecretStr("k"), SecretStr("a")),
    ),
    (
        {"VLLM_CLUSTER_URL": "https://gateway.example/vllm", "VLLM_API_KEY": " "},
        Cluster("https://gateway.example/vllm", None, None),
    ),
]


@pytest.mark.parametrize(("variables", "want"), VARIABLES)
def test_the_variables_name_the_cluster(variables: dict[str, str], want: Cluster) -> None:
    assert cluster_of(variables) == want


WRONG = [
    ({}, "VLLM_CLUSTER_URL is not set"),
    ({"VLLM_CLUSTER_URL": "vllm.example:8000"}, "is vllm.example:8000, no address"),
    ({"VLLM_CLUSTER_URL": "ftp://vllm.example"}, "is ftp://vllm.example, no address"),
    ({"VLLM_CLUSTER_URL": "https://vllm.example?key=1"}, "no address"),
    ({"VLLM_CLUSTER_URL": "http://a:port"}, "is no address"),
]


@pytest.mark.parametrize(("variables", "said"), WRONG)
def test_an_address_that_is_none_is_refused(variables: dict[str, str], said: str) -> None:
    with pytest.raises(Refused) as caught:
        cluster_of(variables)
    assert said in str(caught.value)
    assert caught.value.where == "VLLM_CLUSTER_URL"


def test_without_an_address_the_message_has_the_variables_and_that_nothing_was_made() -> None:
    with pytest.raises(Refused) as caught:
        cluster_of({})
    text = str(caught.value)
    assert "Nothing was created." in text
    assert "export VLLM_CLUSTER_URL=https://HOST[:PORT], and VLLM_API_KEY=" in text


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(Refused) as caught:
        cluster_of({"VLLM_CLUSTER_URL": "https://user:hunter2@vllm.example"})
    assert "set VLLM_API_KEY" in str(caught.value)
    assert "hunter2" not in str(caught.value) + repr(caught.value)


def test_the_keys_are_in_no_repr() -> None:
    made = cluster_of({"VLLM_CLUSTER_URL": "http://a", "VLLM_API_KEY": "key-1", "VLLM_ADMIN_API_KEY": "key-2"})
    assert "key-" not in repr(made)


def test_every_cluster_that_the_settings_know_has_an_answer() -> None:
    assert set(TIERS["dedicated-vllm"].clusters) == {"existing", "eks", "kubernetes", "runpod", "lambda", "vast"}
