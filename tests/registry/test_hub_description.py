"""The judge of the fake Hub: what the Hub does not describe is a complaint, so that a test with it fails."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from fakes.hub_rules import DESCRIPTION, LICENCES, route, wrong_answer, wrong_request

from takeover.adapter._card import LICENCES as OURS

PREUPLOAD = "/api/models/{namespace}/{repo}/preupload/{rev}"
COMMIT = "/api/models/{namespace}/{repo}/commit/{rev}"
CREATE = "/api/repos/create"
TREE = "/api/models/{namespace}/{repo}/tree/{rev}/{path}"


@dataclass(frozen=True)
class Case:
    id: str
    path: str
    body: Any
    want: list[str]
    method: str = "POST"
    query: dict[str, str] = field(default_factory=dict)
    kind: str = "application/json"


def lines(*values: Any) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


FILE = {"path": "a", "size": 1, "sample": "YQ=="}
HEADER = {"key": "header", "value": {"summary": "s", "description": ""}}
ND = "application/x-ndjson"
CASES = [
    Case("a described request", PREUPLOAD, {"files": [FILE]}, []),
    Case("a method", PREUPLOAD, {}, [f"PUT {PREUPLOAD}: the method is not described"], method="PUT"),
    Case("a query", TREE, {}, [f"GET {TREE}: the query depth is not described"], method="GET", query={"depth": "2"}),
    Case("a missing field", PREUPLOAD, {}, [f"POST {PREUPLOAD}: $: 'files' is a required property"]),
    Case(
        "a wrong type",
        PREUPLOAD,
        {"files": [{**FILE, "size": "1"}]},
        [f"POST {PREUPLOAD}: $.files[0].size: '1' is not of type 'number'"],
    ),
    Case(
        "an unknown field",
        PREUPLOAD,
        {"files": [{**FILE, "mode": "lfs"}]},
        [f"POST {PREUPLOAD}: $.files[0]: Unevaluated properties are not allowed ('mode' was unexpected)"],
    ),
    Case("a new repository", CREATE, {"name": "tone", "organization": "acme", "type": "model"}, []),
    Case(
        "an unknown field of a new repository",
        CREATE,
        {"name": "tone", "hidden": True},
        [f"POST {CREATE}: $: Unevaluated properties are not allowed ('hidden' was unexpected)"],
    ),
    Case("no JSON", CREATE, None, [f"POST {CREATE}: no JSON"]),
    Case("a commit", COMMIT, [HEADER, {"key": "deletedFile", "value": {"path": "a"}}], [], kind=ND),
    Case(
        "a commit as another type", COMMIT, [HEADER], [f"POST {COMMIT}: Content-Type is text/plain"], kind="text/plain"
    ),
]


def body_of(case: Case) -> bytes:
    bodies = {list: lambda: lines(*case.body), dict: lambda: json.dumps(case.body).encode(), type(None): lambda: b"{"}
    return bodies[type(case.body)]()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_request_is_held_against_the_description(case: Case) -> None:
    assert list(wrong_request(case.path, case.method, case.query, case.kind, body_of(case))) == case.want


@pytest.mark.parametrize(
    ("key", "value"),
    [("lfsFile", {"path": "a", "oid": "not hex"}), ("renamedFile", {"path": "a"}), ("file", {"content": "x"})],
)
def test_a_wrong_line_of_a_commit_is_a_complaint(key: str, value: dict[str, str]) -> None:
    body = lines(HEADER, {"key": key, "value": value})
    found = list(wrong_request(COMMIT, "POST", {}, ND, body))
    assert (len(found), found[0].startswith(f"POST {COMMIT}: line 1: $: ")) == (1, True)


def test_the_fakes_own_answers_are_held_against_it_too() -> None:
    entry = {"type": "file", "oid": "0", "path": "a", "colour": "red"}
    found = list(wrong_answer(TREE, "GET", 200, json.dumps([entry]).encode()))
    assert found == [
        f"GET {TREE}: the fake's answer: $[0]: Additional properties are not allowed ('colour' was unexpected)"
    ]


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("/api/models/acme/tone", ("/api/models/{namespace}/{repo}", {"namespace": "acme", "repo": "tone"})),
        ("/api/models/acme/tone/discussions", None),
        (
            "/acme/tone/resolve/main/report/curves.png",
            (
                "/{namespace}/{repo}/resolve/{rev}/{path}",
                {"namespace": "acme", "repo": "tone", "rev": "main", "path": "report/curves.png"},
            ),
        ),
    ],
)
def test_a_path_is_found_or_is_none_of_the_hubs(path: str, want: tuple[str, dict[str, str]] | None) -> None:
    assert route(path) == want


def test_our_licences_are_the_hubs() -> None:
    assert OURS == LICENCES


def test_the_excerpt_says_where_each_operation_was_read() -> None:
    sources = {
        f"{method} {path}": facts["source"]
        for path, methods in DESCRIPTION["paths"].items()
        for method, facts in methods.items()
    }
    assert (DESCRIPTION["source"]["date"], all(sources.values()), len(sources)) == ("2026-08-18", True, 17)
    assert sorted(name for name, source in sources.items() if not source.startswith("described")) == [
        "get /api/models/{namespace}/{repo}",
        "get /api/models/{namespace}/{repo}/revision/{rev}",
        "get /lfs-storage/{oid}",
        "head /lfs-storage/{oid}",
        "head /{namespace}/{repo}/resolve/{rev}/{path}",
        "post /api/validate-yaml",
        "post /{namespace}/{repo}.git/info/lfs/objects/batch",
        "post /{namespace}/{repo}.git/info/lfs/verify",
        "put /lfs-storage/{oid}",
    ]
