"""What a fake Hub keeps: repositories with commits, tags, large files and rights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n"


@dataclass(frozen=True)
class File:
    """`data` of a small file, or the large file's SHA-256 in `lfs`."""

    data: bytes = b""
    lfs: str | None = None
    size: int = 0

    @property
    def oid(self) -> str:
        data = POINTER.format(oid=self.lfs, size=self.size).encode() if self.lfs else self.data
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    def entry(self, path: str) -> dict[str, Any]:
        """As `tree` lists it."""
        size = self.size if self.lfs else len(self.data)
        entry: dict[str, Any] = {"type": "file", "path": path, "oid": self.oid, "size": size}
        return {**entry, "lfs": {"oid": self.lfs, "size": size, "pointerSize": 134}} if self.lfs else entry


@dataclass(frozen=True)
class Commit:
    oid: str
    title: str
    message: str
    date: str
    files: Mapping[str, File]


@dataclass
class Repo:
    """`commits` are those of `main`, the oldest first; `large` are the large files that arrived, by SHA-256."""

    private: bool = False
    gated: bool = False
    commits: list[Commit] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    def at(self, revision: str) -> Commit | None:
        wanted = self.head.oid if revision == "main" else self.tags.get(revision, revision)
        return next((each for each in self.commits if each.oid == wanted), None)

    def commit(self, title: str, files: Mapping[str, File], message: str = "") -> Commit:
        """A new head with exactly these files."""
        number = len(self.commits)
        date = f"2026-11-25T{number // 60:02}:{number % 60:02}:00.000Z"
        names = {name: each.oid for name, each in sorted(files.items())}
        parent = self.commits[-1].oid if self.commits else ""
        text = json.dumps([parent, title, message, date, names])
        made = Commit(hashlib.sha1(text.encode()).hexdigest(), title, message, date, dict(files))
        self.commits.append(made)
        return made

    def content(self, file: File) -> bytes:
        return self.large[file.lfs] if file.lfs else file.data


@dataclass(frozen=True)
class Token:
    """Whose it is: the names (users, organizations) that it may read and write."""

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    expired: bool = False


def new_repo(private: bool) -> Repo:
    """As the Hub makes it: with its own file in a first commit."""
    repo = Repo(private)
    repo.commit("initial commit", {".gitattributes": File(b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n")})
    return repo
