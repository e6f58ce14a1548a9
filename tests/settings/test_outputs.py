"""The typed outputs: built, described, read, hidden."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from takeover.errors import Refused
from takeover.outputs import (
    EndpointOutputs,
    build_outputs,
    example,
    outputs_from_file,
    parse_outputs,
    save_outputs,
    schema,
    schema_text,
)
from takeover.planning import Plan
from takeover.providers._base import TrainedModel
from takeover.tiers import TIERS

ROOT = Path(__file__).parents[2]
PLAN = Plan(1.0, 0.5, 2.0, 0.1, ("words",))


def model(name: str, digit: str) -> TrainedModel:
    digest = "sha256:" + digit * 64
    return TrainedModel(name=name, digest=digest, served_name=f"{name}@{digit * 12}", path="/x", base="tiny", rank=8)


def test_the_program_exports_every_field_and_never_looks_into_an_output() -> None:
    url, key, ready, measured = object(), object(), object(), object()
    built = build_outputs(
        tier=TIERS["local"],
        models=(model("tone", "a"), model("other", "b")),
        plan=PLAN,
        url=url,
        api_key=key,
        min_replicas=1,
        max_replicas=2,
        replicas_ready=ready,
        cold_start_measured_ms=measured,
    )
    assert built == {
        "schemaVersion": 1,
        "provider": "local",
        "cluster": None,
        "url": url,
        "protocol": "openai",
        "model": "tone@" + "a" * 12,
        "digest": "sha256:" + "a" * 64,
        "adapters": [
            {"name": "tone", "model": "tone@" + "a" * 12, "digest": "sha256:" + "a" * 64},
            {"name": "other", "model": "other@" + "b" * 12, "digest": "sha256:" + "b" * 64},
        ],
        "regions": [],
        "apiKey": key,
        "coldStart": {"expectedMs": TIERS["local"].cold_start.high_ms, "measuredMs": measured},
        "replicas": {"min": 1, "max": 2, "ready": ready},
        "plan": {"monthlyUsd": 1.0, "floorUsd": 0.5, "ceilingUsd": 2.0, "perMillionTokensUsd": 0.1},
        "fallback": [],
    }


def test_what_is_built_fits_the_schema_and_reads_back_the_same() -> None:
    inner = example().to_json(show_secrets=True)
    built = build_outputs(
        tier=TIERS["local"],
        models=(model("tone", "a"),),
        plan=PLAN,
        url="http://127.0.0.1:1/v1",
        api_key="k",
        min_replicas=1,
        max_replicas=1,
        replicas_ready=1.0,
        cold_start_measured_ms=14200.0,
        fallback=(inner,),
    )
    jsonschema.validate(built, schema())
    assert parse_outputs({"endpoint": built}, where="x").to_json(show_secrets=True) == built


def test_the_schema_is_valid_current_and_demands_every_exported_field() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert (ROOT / "docs" / "outputs.schema.json").read_text() == schema_text()
    jsonschema.validate(example().to_json(), schema())
    names = [info.alias for info in EndpointOutputs.model_fields.values()]
    assert schema()["$defs"]["EndpointOutputs"]["required"] == names


@pytest.mark.parametrize("name", list(example().to_json()))
def test_the_schema_refuses_an_object_without_one_of_its_fields(name: str) -> None:
    value = example().to_json()
    del value[name]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(value, schema())


def test_a_key_is_hidden_unless_it_is_asked_for() -> None:
    outputs = example().model_copy(update={"fallback": (example(),)})
    hidden, shown = outputs.to_json(), outputs.to_json(show_secrets=True)
    assert (hidden["apiKey"], hidden["fallback"][0]["apiKey"]) == ("[secret]", "[secret]")
    assert (shown["apiKey"], shown["fallback"][0]["apiKey"]) == ("an-example-key", "an-example-key")
    assert "an-example-key" not in repr(outputs) + str(outputs) + outputs.model_dump_json()


def test_a_newer_field_is_ignored() -> None:
    value = example().to_json(show_secrets=True)
    assert parse_outputs({**value, "weather": "fine"}, where="x") == example()


@dataclass(frozen=True)
class Case:
    id: str
    change: Callable[[dict[str, Any]], Any]
    want: str


WRITE = "Write them with `takeover outputs --json --show-secrets`."
CASES = [
    Case("a list", lambda value: [value], f"x: there is no endpoint object\n  {WRITE}"),
    Case(
        "an endpoint that is text", lambda value: {"endpoint": "[secret]"}, f"x: there is no endpoint object\n  {WRITE}"
    ),
    Case(
        "a newer version",
        lambda value: {**value, "schemaVersion": 2},
        "x: the outputs cannot be read\n"
        "  Its schemaVersion is 2; this version of takeover reads 1.\n  Use the takeover that wrote them.",
    ),
    Case(
        "a hidden key",
        lambda value: {**value, "apiKey": "[secret]"},
        f"x: the outputs hold no key: it was hidden when they were written\n  {WRITE}",
    ),
    Case(
        "two wrong fields, neither quoted",
        lambda value: {**value, "apiKey": 7, "url": None},
        "x: the outputs cannot be read\n  url: Input should be a valid string; apiKey: Input should be a valid string",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_outputs_that_cannot_be_read_are_refused(case: Case) -> None:
    with pytest.raises(Refused) as caught:
        parse_outputs(case.change(example().to_json(show_secrets=True)), where="x")
    assert str(caught.value) == case.want


def test_a_file_of_outputs_is_for_its_owner_alone_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "endpoint.json"
    save_outputs(path, example())
    save_outputs(path, example())
    assert path.stat().st_mode & 0o777 == 0o600
    assert outputs_from_file(path) == example()
    assert [each.name for each in path.parent.iterdir()] == ["endpoint.json"]


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(None, f"{{}}: the outputs cannot be read\n  No such file or directory.\n  {WRITE}", id="no file"),
        pytest.param('{"apiKey": "k', f"{{}}: the outputs are no JSON\n  {WRITE}", id="cut off"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: str | None, want: str) -> None:
    path = tmp_path / "endpoint.json"
    path.write_text(content or "")
    (path.unlink if content is None else path.touch)()
    with pytest.raises(Refused) as caught:
        outputs_from_file(path)
    assert str(caught.value) == want.format(path)


def test_the_object_is_plain_json() -> None:
    assert json.loads(json.dumps(example().to_json())) == example().to_json()
