"""Where an adapter is kept, as one text. Pure: nothing is asked, no file is read.

| text | what it is | pinned by |
|---|---|---|
| `hf://org/name@<40 hex>` | a model repository on the Hugging Face Hub, at a commit | commit |
| `hf://org/name@main`, `hf://org/name` | the same at a branch or tag, which move; else at `main` | nothing yet |
| `s3://bucket/prefix/name@sha256:<64 hex>` | versions in a bucket, one folder a digest; `gs://` the same | digest |
| `file:///path/name@sha256:<64 hex>` | versions in a folder, in the same layout | digest |
| `path/name@sha256:<64 hex>` | the same with a path as one types it | digest |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from takeover.errors import Refused

__all__ = ["SCHEMES", "Address", "Kind", "is_address", "parse_address"]

Kind = Literal["hf", "s3", "gs", "file"]
SCHEMES: tuple[Kind, ...] = ("hf", "s3", "gs", "file")

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://(.*)$", re.DOTALL)
_DIGEST = re.compile(r"^(.*)@(sha256:.*)$", re.DOTALL)
_WHOLE_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
# The Hub's rules for a repository's name, as huggingface_hub 2.4.0 checks them (utils/_validators.py).
_HUB_PART = re.compile(r"(?![-.])(?!.*(--|\.\.))[A-Za-z0-9._-]{1,96}(?<![-.])")
_REVISION = re.compile(r"(?![-/.])(?!.*(\.\.|//|@\{))[\w./+-]{1,200}(?<![/.])", re.ASCII)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_FORMS: Mapping[str, str] = MappingProxyType(
    {
        "hf": "hf://OWNER/NAME@COMMIT",
        "s3": "s3://BUCKET/FOLDER@sha256:DIGEST",
        "gs": "gs://BUCKET/FOLDER@sha256:DIGEST",
        "file": "file:///FOLDER@sha256:DIGEST",
    }
)


@dataclass(frozen=True)
class Address:
    """`path` is `org/name` on the Hub, `bucket/prefix/name` in a bucket, a folder's path with `file`.

    `revision` is the Hub's (a commit, branch or tag), `digest` (`sha256:<64 hex>`) that of buckets and folders; None
    where the text names none. `parse_address(str(address)) == address`.
    """

    kind: Kind
    path: str
    revision: str | None = None
    digest: str | None = None

    @property
    def root(self) -> str:
        """The text without a version: `hf://org/name`."""
        return self.path if self.kind == "file" and not self.path.startswith("/") else f"{self.kind}://{self.path}"

    @property
    def commit(self) -> str | None:
        """The commit, where it is one that cannot move."""
        return self.revision if self.revision and _COMMIT.fullmatch(self.revision) else None

    @property
    def version(self) -> str | None:
        return self.revision if self.kind == "hf" else self.digest

    @property
    def is_pinned(self) -> bool:
        """Whether it names one content for ever."""
        return bool(self.commit if self.kind == "hf" else self.digest)

    def at(self, version: str) -> Address:
        """This place at a commit (Hub) or digest."""
        return replace(self, revision=version) if self.kind == "hf" else replace(self, digest=version)

    def __str__(self) -> str:
        return f"{self.root}@{self.version}" if self.version else self.root


def is_address(text: str) -> bool:
    """Whether `text` is an address and no adapter's own folder: it has a scheme, or ends in a digest."""
    return bool(_SCHEME.match(text) or _DIGEST.match(text))


def parse_address(text: str) -> Address:
    """Read an address; a text without a scheme is a folder of versions. Refused, with how to write it, for any other.

    Branches and tags, and buckets without a digest, are let through: what must be pinned asks for `is_pinned`.
    """
    match = _SCHEME.match(text)
    scheme, rest = (match[1].lower(), match[2]) if match else ("file", text)
    readers: Mapping[str, Callable[[str, str], Address]] = {
        "hf": _hub,
        "s3": lambda text, rest: _bucket("s3", text, rest),
        "gs": lambda text, rest: _bucket("gs", text, rest),
        "file": _folder,
    }
    if scheme not in readers:
        raise Refused(f"{scheme}:// is no place for adapters", fix=_instead(text), where=text)
    return readers[scheme](text, rest)


def _instead(text: str) -> str:
    page = re.match(r"https?://(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)(?:/(?:tree|commit)/([\w.-]+))?/?$", text)
    if page:
        return f"Write hf://{page[1]}" + (f"@{page[2]}." if page[2] else ", with @ and the commit behind it.")
    return "Name a folder by its path, or use hf://, s3:// or gs://."


def _hub(text: str, rest: str) -> Address:
    name, separator, revision = rest.removeprefix("models/").partition("@")
    parts = name.split("/")
    if len(parts) != 2 or not all(_HUB_PART.fullmatch(part) for part in parts) or name.endswith(".git"):
        raise _malformed("hf", text, "Name the repository and the commit.")
    if separator and not _REVISION.fullmatch(revision):
        raise _malformed("hf", text, "Behind the @ stands a commit, a branch or a tag.")
    return Address("hf", name, revision=revision or None)


def _bucket(kind: Literal["s3", "gs"], text: str, rest: str) -> Address:
    path, digest = _split_digest(kind, text, rest)
    bucket, _, folder = path.rstrip("/").partition("/")
    if not _BUCKET.fullmatch(bucket) or not _is_clean(folder):
        raise _malformed(kind, text, "Name the bucket and the folder in it.")
    return Address(kind, f"{bucket}/{folder}", digest=digest)


def _folder(text: str, rest: str) -> Address:
    path, digest = _split_digest("file", text, rest)
    if not path.strip() or (text.startswith("file:") and not path.startswith("/")) or any(c in path for c in "\0\n\r"):
        raise _malformed("file", text, "Name the folder that holds the versions.")
    return Address("file", path.rstrip("/") or "/", digest=digest)


def _split_digest(kind: Kind, text: str, rest: str) -> tuple[str, str | None]:
    match = _DIGEST.match(rest)
    if match is None:
        return rest, None
    if not _WHOLE_DIGEST.fullmatch(match[2]):
        raise _malformed(kind, text, "A digest is sha256: and 64 small hexadecimal digits.")
    return match[1], match[2]


def _is_clean(folder: str) -> bool:
    """Whether a bucket's folder is plain: no empty or dotted part, which buckets and disks read differently."""
    parts = folder.split("/")
    return all(part not in ("", ".", "..") and part.isprintable() and not re.search(r"\s", part) for part in parts)


def _malformed(kind: Kind, text: str, fix: str) -> Refused:
    return Refused(f"it must be {_FORMS[kind]}", fix=fix, where=text)
