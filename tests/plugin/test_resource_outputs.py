"""The resource's outputs: after a deploy, after a look, in a preview, for an import."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from plugin.difference import Change, Kind
from plugin.outputs import deployed, described, imported, planned, split_id
from plugin.wire import UNKNOWN, Secret
from takeover.providers._base import Described, Endpoint

MODEL = {"name": "a", "digest": "sha256:1", "servedName": "a@1", "path": "/a", "base": "tiny", "rank": 8}
OTHER = {**MODEL, "name": "b", "digest": "sha256:2", "servedName": "b@2"}
INPUTS = {"provider": "local", "models": [MODEL, OTHER], "spec": {"name": "x", "base": "tiny"}}
ENDPOINT = Endpoint(
    id="x",
    name="x",
    provider="local",
    url="http://there/v1",
    models=("a@1", "b@2"),
    api_key=SecretStr("k"),
    cold_start_measured_ms=900,
)
OUTPUTS = {
    **INPUTS,
    "url": "http://there/v1",
    "protocol": "openai",
    "model": "a@1",
    "served": ["a@1", "b@2"],
    "digests": ["sha256:1", "sha256:2"],
    "apiKey": Secret("k"),
    "regions": [],
    "replicasReady": 1,
    "coldStartMeasuredMs": 900,
    "healthy": True,
}
ITS_OWN = ("url", "protocol", "apiKey", "regions", "replicasReady", "coldStartMeasuredMs", "healthy")


def told(**changes: Any) -> Described:
    given = {
        "endpoint": ENDPOINT,
        "base": "tiny",
        "models": ("b@2", "a@1"),
        "digests": ("sha256:2", "sha256:1"),
        "replicas": 1,
        "hardware": None,
        "healthy": True,
    }
    return Described(**{**given, **changes})


def test_after_a_deploy_they_are_the_inputs_and_what_became_of_them() -> None:
    assert deployed(INPUTS, ENDPOINT) == OUTPUTS


def test_a_look_at_what_is_as_it_was_left_gives_the_same_in_the_same_order() -> None:
    assert described(INPUTS, ENDPOINT, told()) == OUTPUTS


def test_a_look_at_what_does_not_answer() -> None:
    found = described(INPUTS, ENDPOINT, told(healthy=False, digests=(), models=()))
    assert found == {**OUTPUTS, "healthy": False, "replicasReady": 0, "digests": []}


def test_a_look_at_what_went_away_between_two_looks() -> None:
    assert described(INPUTS, ENDPOINT, None) == {**OUTPUTS, "healthy": False, "replicasReady": 0, "digests": []}


def test_a_stranger_s_adapter_comes_after_the_program_s() -> None:
    found = described(INPUTS, ENDPOINT, told(digests=("sha256:0", "sha256:2", "sha256:1")))
    assert found == {**OUTPUTS, "digests": ["sha256:1", "sha256:2", "sha256:0"]}


def test_another_base_than_the_program_s_is_not_healthy() -> None:
    assert described(INPUTS, ENDPOINT, told(base="big"))["healthy"] is False


def test_a_preview_of_a_creation_knows_what_the_program_says() -> None:
    assert planned(INPUTS, None, []) == {
        **OUTPUTS,
        **dict.fromkeys(ITS_OWN, UNKNOWN),
    }


def test_a_preview_of_an_exchange_of_adapters_keeps_address_and_key() -> None:
    new = {**INPUTS, "models": [OTHER]}
    assert planned(new, OUTPUTS, [Change("models[0].digest", Kind.UPDATE)]) == {
        **OUTPUTS,
        **new,
        "model": "b@2",
        "served": ["b@2"],
        "digests": ["sha256:2"],
    }


def test_a_preview_of_any_other_change_does_not() -> None:
    assert planned(INPUTS, OUTPUTS, [Change("spec.options.port", Kind.UPDATE)])["url"] is UNKNOWN


def test_a_preview_with_models_that_are_not_known_yet() -> None:
    given = planned({**INPUTS, "models": UNKNOWN}, None, [])
    assert (given["models"], given["model"], given["digests"]) == (UNKNOWN, UNKNOWN, UNKNOWN)


def test_a_preview_with_a_digest_that_is_not_known_yet() -> None:
    given = planned({**INPUTS, "models": [{**MODEL, "digest": UNKNOWN}]}, None, [])
    assert (given["model"], given["digests"]) == ("a@1", [UNKNOWN])


def test_an_import_takes_what_the_other_side_tells() -> None:
    assert imported(ENDPOINT, told()) == {
        "provider": "local",
        "models": [
            {"name": "b", "digest": "sha256:2", "servedName": "b@2", "path": "", "base": "tiny", "rank": 0},
            {"name": "a", "digest": "sha256:1", "servedName": "a@1", "path": "", "base": "tiny", "rank": 0},
        ],
        "spec": {"name": "x", "base": "tiny"},
    }


def test_an_id_tells_the_tier_and_the_name() -> None:
    assert split_id("local/takeover-dev-1") == ("local", "takeover-dev-1")
