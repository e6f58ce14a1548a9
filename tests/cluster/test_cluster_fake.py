"""The quick suite's API server (tests/fakes/kube_api.py) answers what the real one answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from control_plane import ControlPlane
from fakes.kube_api import TOKEN, FakeKube
from kube_http import Answered, Kube, Object

pytestmark = pytest.mark.cluster
APPLY = "application/apply-patch+yaml"
STRICT = {"fieldManager": "takeover", "force": "true", "fieldValidation": "Strict"}


@dataclass(frozen=True)
class Case:
    """One request; what comes back is compared: a failure's status and sentence, else the parts named in `shown`."""

    id: str
    method: str
    path: str
    body: Any = None
    content: str = "application/json"
    query: dict[str, str] = field(default_factory=dict)
    shown: tuple[str, ...] = ("kind",)
    is_limited: bool = False


def config_map(name: str, **more: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **more}, "data": {"a": "b"}}


MAPS = "/api/v1/namespaces/default/configmaps"
FAR = "/api/v1/namespaces/none/configmaps"
MERGE = "application/merge-patch+json"
DRY = {**STRICT, "dryRun": "All"}
CASES = [
    Case("an object that is not there", "GET", f"{MAPS}/none"),
    Case("a list in a namespace that is not there", "GET", FAR, shown=("kind", "items")),
    Case("a namespace that is not there", "GET", "/api/v1/namespaces/none"),
    Case("writing into a namespace that is not there", "PATCH", f"{FAR}/x", config_map("x"), APPLY, STRICT),
    Case("a kind that is not installed", "GET", "/apis/karpenter.example/v1/namespaces/default/pools"),
    Case("a first apply", "PATCH", f"{MAPS}/x", config_map("x"), APPLY, STRICT, ("kind", "data")),
    Case("a dry run", "PATCH", f"{MAPS}/y", config_map("y"), APPLY, DRY, ("kind", "data")),
    Case("a dry run wrote nothing", "GET", f"{MAPS}/y"),
    Case("a second object of a name", "POST", MAPS, config_map("x")),
    Case("a merge", "PATCH", f"{MAPS}/x", {"data": {"c": "d"}}, MERGE, {"fieldManager": "takeover"}, ("data",)),
    Case("an end", "DELETE", f"{MAPS}/x", shown=()),
    Case("a second end", "DELETE", f"{MAPS}/x"),
    Case("no right to list", "GET", MAPS, is_limited=True),
    Case("no right to see one", "GET", "/apis/apps/v1/namespaces/default/deployments/chat", is_limited=True),
    Case("no right in the whole cluster", "GET", "/api/v1/nodes", is_limited=True),
    Case("no right to write", "PATCH", f"{MAPS}/x", config_map("x"), APPLY, STRICT, is_limited=True),
    Case("no right to make", "POST", MAPS, config_map("z"), is_limited=True),
]


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeKube]:
    with FakeKube() as started:
        yield started


def answered(kube: Kube, case: Case) -> Any:
    try:
        found = kube.call(case.method, case.path, case.body, content=case.content, **case.query)
    except Answered as failure:
        return failure.status, failure.said
    return {part: found.get(part) for part in case.shown}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_fake_answers_as_the_real_one(plane: ControlPlane, fake: FakeKube, case: Case) -> None:
    kinds = ("configmaps", "deployments", "nodes", "pods")
    verbs = ("get", "list", "create", "patch", "delete")
    fake.denied = {(verb, kind) for verb in verbs for kind in kinds} if case.is_limited else set()
    ours = replace(plane.kube, url=fake.url, token=TOKEN)
    assert answered(ours, case) == answered(plane.limited if case.is_limited else plane.kube, case)


def test_a_field_that_no_schema_has_is_refused_by_both(plane: ControlPlane, fake: FakeKube) -> None:
    """With the status of a failure of the server's, and a sentence that names the field."""
    fake.denied = set()
    case = Case("", "PATCH", f"{MAPS}/x", {**config_map("x"), "dta": {}}, APPLY, STRICT)
    both = [answered(kube, case) for kube in (replace(plane.kube, url=fake.url, token=TOKEN), plane.kube)]
    assert [status for status, _ in both] == [500, 500]
    assert ["failed to create typed patch object" in said and "dta" in said for _, said in both] == [True, True]
