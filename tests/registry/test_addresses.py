"""Addresses: each text is read in one way, or refused with how to write it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from takeover.errors import Refused
from takeover.registry import Address, is_address, parse_address

COMMIT = "0a" * 20
DIGEST = "sha256:" + "3f" * 32


@dataclass(frozen=True)
class Read:
    id: str
    text: str
    want: Address
    is_pinned: bool


READ = [
    Read("a commit on the Hub", f"hf://acme/tone@{COMMIT}", Address("hf", "acme/tone", COMMIT), True),
    Read("a branch", "hf://acme/tone@main", Address("hf", "acme/tone", "main"), False),
    Read("a tag with dots", "hf://acme/tone@v1.2", Address("hf", "acme/tone", "v1.2"), False),
    Read("a pull request's branch", "hf://acme/tone@refs/pr/1", Address("hf", "acme/tone", "refs/pr/1"), False),
    Read(
        "a short commit is a name like any",
        f"hf://acme/tone@{COMMIT[:7]}",
        Address("hf", "acme/tone", COMMIT[:7]),
        False,
    ),
    Read("no revision", "hf://acme/tone", Address("hf", "acme/tone"), False),
    Read("a name with dots and dashes", "hf://a-b.c/d_e-f", Address("hf", "a-b.c/d_e-f"), False),
    Read("a bucket's version", f"s3://acme/tone@{DIGEST}", Address("s3", "acme/tone", digest=DIGEST), True),
    Read("a bucket's folder", "s3://acme/a/b/tone", Address("s3", "acme/a/b/tone"), False),
    Read("a slash at the end", "gs://acme/tone/", Address("gs", "acme/tone"), False),
    Read("an @ within a folder's name", f"gs://acme/a@b/c@{DIGEST}", Address("gs", "acme/a@b/c", digest=DIGEST), True),
    Read("a folder's URL", f"file:///srv/tone@{DIGEST}", Address("file", "/srv/tone", digest=DIGEST), True),
    Read("a path with a digest", f"models/tone@{DIGEST}", Address("file", "models/tone", digest=DIGEST), True),
    Read("a path", "models/tone", Address("file", "models/tone"), False),
]


@pytest.mark.parametrize("case", READ, ids=lambda case: case.id)
def test_an_address_is_read(case: Read) -> None:
    found = parse_address(case.text)
    assert (found, found.is_pinned) == (case.want, case.is_pinned)


@pytest.mark.parametrize("case", READ, ids=lambda case: case.id)
def test_its_text_reads_as_the_same_address(case: Read) -> None:
    assert parse_address(str(parse_address(case.text))) == case.want


@dataclass(frozen=True)
class Wrong:
    id: str
    text: str
    want: str


HF, S3, GS, FILE = (
    "hf://OWNER/NAME@COMMIT",
    "s3://BUCKET/FOLDER@sha256:DIGEST",
    "gs://BUCKET/FOLDER@sha256:DIGEST",
    "file:///FOLDER@sha256:DIGEST",
)
REVISION = f"it must be {HF}\n  Behind the @ stands a commit, a branch or a tag."
REPOSITORY = f"it must be {HF}\n  Name the repository and the commit."
WRONG = [
    Wrong("an owner alone", "hf://acme", REPOSITORY),
    Wrong("a file in a repository", "hf://acme/tone/x.json", REPOSITORY),
    Wrong("two dots", "hf://acme/..", REPOSITORY),
    Wrong("two dashes", "hf://acme/a--b", REPOSITORY),
    Wrong("git's ending", "hf://acme/tone.git", REPOSITORY),
    Wrong("too long a name", "hf://acme/" + "x" * 97, REPOSITORY),
    Wrong("nothing behind the @", "hf://acme/tone@", REVISION),
    Wrong("a revision that climbs", "hf://acme/tone@a/../b", REVISION),
    Wrong("a revision with a space", "hf://acme/tone@a b", REVISION),
    Wrong("a bucket alone", "s3://acme", f"it must be {S3}\n  Name the bucket and the folder in it."),
    Wrong("a bucket's name in capitals", "s3://ACME/x", f"it must be {S3}\n  Name the bucket and the folder in it."),
    Wrong("a folder that climbs", "gs://acme/a/../b", f"it must be {GS}\n  Name the bucket and the folder in it."),
    Wrong("an empty part", "gs://acme/a//b", f"it must be {GS}\n  Name the bucket and the folder in it."),
    Wrong(
        "half a digest",
        "s3://acme/x@sha256:3f",
        f"it must be {S3}\n  A digest is sha256: and 64 small hexadecimal digits.",
    ),
    Wrong("a relative file URL", "file://tone", f"it must be {FILE}\n  Name the folder that holds the versions."),
    Wrong("no text", "", f"it must be {FILE}\n  Name the folder that holds the versions."),
    Wrong("a line break", "a\nb", f"it must be {FILE}\n  Name the folder that holds the versions."),
    Wrong(
        "another scheme",
        "ftp://acme/x",
        "ftp:// is no place for adapters\n  Name a folder by its path, or use hf://, s3:// or gs://.",
    ),
    Wrong(
        "the Hub's page",
        "https://huggingface.co/acme/tone",
        "https:// is no place for adapters\n  Write hf://acme/tone, with @ and the commit behind it.",
    ),
    Wrong(
        "the Hub's page of a commit",
        f"https://huggingface.co/acme/tone/tree/{COMMIT}",
        f"https:// is no place for adapters\n  Write hf://acme/tone@{COMMIT}.",
    ),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.id)
def test_any_other_text_is_refused_with_how_to_write_it(case: Wrong) -> None:
    with pytest.raises(Refused) as refused:
        parse_address(case.text)
    prefix = f"{case.text}: " if case.text else ""
    assert str(refused.value) == prefix + case.want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("adapters/tone", False),
        ("/srv/tone@2", False),
        (f"adapters/tone@{DIGEST}", True),
        ("hf://acme/tone", True),
        ("ftp://acme/x", True),
    ],
)
def test_a_plain_path_is_an_adapters_own_folder(text: str, want: bool) -> None:
    assert is_address(text) is want
