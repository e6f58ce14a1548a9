"""`versions` and `resolve` on the Hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.artifacts import make_adapter
from fakes.hub import FakeHub
from fakes.hub_store import File
from fakes.registry_help import TONE, at_head

from takeover.adapter import Adapter
from takeover.errors import Refused
from takeover.registry import Address, push, resolve, versions


def test_each_digest_is_listed_once_with_its_tags_figures_and_dates(
    hub: FakeHub, adapter: Adapter, tmp_path: Path
) -> None:
    first = push(adapter.path, TONE, tag="v1")
    repo = hub.repos["acme/tone"]
    repo.commit("Update README.md", {**repo.head.files, "README.md": File(b"words")})
    newer = make_adapter(tmp_path / "newer", seed=1, created="2026-11-25T08:00:00Z", evaluation={"margin": 2.5})
    second = push(newer.path, TONE, tag="v2")
    push(adapter.path, TONE, tag="stable")
    assert [each.to_json() for each in versions(TONE)] == [
        {
            "address": str(second.address),
            "commit": second.commit,
            "digest": newer.digest,
            "name": "support-tone",
            "tags": ["v2"],
            "created": "2026-11-25T08:00:00Z",
            "published": "2026-11-25T00:03:00Z",
            "evaluation": {"margin": 2.5},
        },
        {
            "address": str(first.address),
            "commit": first.commit,
            "digest": adapter.digest,
            "name": "support-tone",
            "tags": ["v1", "stable"],
            "created": "2026-11-24T12:00:00Z",
            "published": "2026-11-25T00:01:00Z",
            "evaluation": {"rewardAccuracy": 0.75},
        },
    ]


def test_a_commit_without_a_readable_manifest_is_named(hub: FakeHub, adapter: Adapter) -> None:
    pushed = push(adapter.path, TONE)
    repo = hub.repos["acme/tone"]
    repo.commit("by hand", {**repo.head.files, "manifest.json": File(b"{}")})
    said: list[str] = []
    assert [each.address for each in versions(TONE, say=said.append)] == [pushed.address]
    assert said == [f"the commit {at_head(hub).commit} has no readable manifest.json"]


@pytest.mark.parametrize("revision", ["main", "v1", None])
def test_a_branch_or_tag_becomes_its_commit(hub: FakeHub, adapter: Adapter, revision: str | None) -> None:
    pushed = push(adapter.path, TONE, tag="v1")
    assert resolve(TONE.at(revision) if revision else TONE) == pushed.address


@pytest.mark.parametrize("revision", ["v2", "0b" * 20])
def test_what_is_no_branch_no_tag_and_no_commit_is_refused(hub: FakeHub, adapter: Adapter, revision: str) -> None:
    push(adapter.path, TONE, tag="v1")
    with pytest.raises(Refused) as refused:
        resolve(TONE.at(revision))
    assert str(refused.value) == (
        f"hf://acme/tone@{revision}: there is no such commit, branch or tag\n"
        "  See https://huggingface.co/acme/tone/commits/main."
    )


@pytest.mark.parametrize("ask", [resolve, versions], ids=["resolve", "versions"])
def test_a_renamed_repository_is_named_by_its_new_name(
    hub: FakeHub, adapter: Adapter, ask: Callable[[Address], object]
) -> None:
    push(adapter.path, TONE)
    hub.repos["acme/voice"] = hub.repos["acme/tone"]
    hub.renamed["acme/tone"] = "acme/voice"
    with pytest.raises(Refused, match="the repository acme/tone was renamed: it is acme/voice now"):
        ask(TONE)


def test_a_push_to_a_renamed_repository_creates_nothing(hub: FakeHub, adapter: Adapter) -> None:
    push(adapter.path, TONE)
    hub.repos["acme/voice"] = hub.repos.pop("acme/tone")
    hub.renamed["acme/tone"] = "acme/voice"
    asked = len(hub.requests)
    with pytest.raises(Refused, match=r"Write hf://acme/voice; commits and digests are the same\."):
        push(adapter.path, TONE)
    assert [line.split(" ")[0] for line in hub.requests[asked:]] == ["GET", "GET"]
