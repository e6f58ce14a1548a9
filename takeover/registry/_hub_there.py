"""What a repository on the Hub holds already, and whether it is what was sent. Nothing here changes anything."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from takeover.adapter import Adapter
from takeover.errors import Refused, VendorError
from takeover.hub_client import asking
from takeover.registry.address import Address
from takeover.registry.cache import MANIFEST
from takeover.registry.hub import DIGEST, MAIN, tags_of

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["State", "commits_of", "known_commit", "require_arrived", "require_ours", "state_of", "tag_taken"]

WEIGHTS = "adapter_model.safetensors"
# What a repository may hold before the first version comes: the Hub's own file, and what people add by hand.
_HARMLESS = {".gitattributes", ".gitignore", "README.md", "LICENSE", "LICENSE.md", "adapter_config.json", WEIGHTS}


@dataclass(frozen=True)
class State:
    """The repository as it is: its head, its tags (name -> commit), the head's files (name -> what the Hub says).

    `published` are the commits on `main` that name a digest in their message, the oldest first.
    """

    head: str
    tags: Mapping[str, str]
    files: Mapping[str, Any]
    published: tuple[tuple[str, str], ...]


def state_of(api: HfApi, address: Address, head: str) -> State:
    """Three questions, asked side by side."""
    with ThreadPoolExecutor(3) as pool:
        tags = pool.submit(tags_of, api, address)
        files = pool.submit(_tree, api, address.at(head))
        commits = pool.submit(asking, lambda: api.list_repo_commits(address.path, revision=MAIN))
        named = [
            (str(each.commit_id), digest)
            for each in reversed(commits.result())
            for digest in DIGEST.findall(each.message)
        ]
        return State(head, commits_of(tags.result()), files.result(), tuple(named))


def commits_of(tags: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {name: commit for commit, names in tags.items() for name in names}


def _tree(api: HfApi, address: Address) -> dict[str, Any]:
    from huggingface_hub import RepoFile

    entries = asking(lambda: list(api.list_repo_tree(address.path, recursive=True, revision=address.revision)))
    return {each.path: each for each in entries if isinstance(each, RepoFile)}


def known_commit(api: HfApi, adapter: Adapter, address: Address, state: State, tag: str) -> str | None:
    """The commit that brought this payload, if there is one; Refused where the tag is on another version."""
    tagged = state.tags.get(tag)
    if tagged is not None:
        if _holds(adapter, _tree(api, address.at(tagged))):
            return tagged
        raise tag_taken(address, tag, tagged)
    for commit, digest in state.published:
        if digest == adapter.digest and _holds(adapter, _tree(api, address.at(commit))):
            return commit
    # Pushed in another way, by git for instance.
    return state.head if _holds(adapter, state.files) else None


def tag_taken(address: Address, tag: str, commit: str) -> Refused:
    return Refused(
        f"the tag {tag} is on another version of {address.path}, the commit {commit}",
        why="A tag names one version for good: who has it in a file must find there what was there before.",
        fix=f"Choose another tag; see `takeover versions {address.root}`.",
        where="--tag",
    )


def _holds(adapter: Adapter, files: Mapping[str, Any]) -> bool:
    """Whether a commit holds this very payload and a manifest."""
    small = (adapter.path / "adapter_config.json").read_bytes()
    hashes = adapter.manifest.files
    return MANIFEST in files and all(
        name in files and _is_as_sent(files[name], sha256, small if name != WEIGHTS else None)
        for name, sha256 in hashes.items()
    )


def _is_as_sent(entry: Any, sha256: str, content: bytes | None) -> bool:
    """Whether the Hub has that file: a large one by its SHA-256, a small one by git's hash of a blob."""
    if entry.lfs is not None:
        return bool(entry.lfs.sha256 == sha256)
    return content is not None and bool(entry.blob_id == _git_hash(content))


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def require_ours(address: Address, state: State) -> None:
    """Refused for a repository in which something else lies: its card would be overwritten."""
    foreign = sorted(name for name in state.files if name not in _HARMLESS and not name.startswith("report/"))
    if MANIFEST in state.files or not foreign:
        return
    raise Refused(
        f"the repository {address.path} holds something else: {', '.join(foreign[:3])}{' ...' if foreign[3:] else ''}",
        why="It has no manifest.json, so no adapter was published there, and its model card would be overwritten.",
        fix="Push to a repository of the adapter's own.",
        where=str(address),
    )


def require_arrived(api: HfApi, adapter: Adapter, address: Address, files: Mapping[str, bytes | Path]) -> None:
    """Read back what the Hub says it has: every file's hash must be that of what was sent."""
    there = _tree(api, address)
    wrong = sorted(_not_as_sent(adapter, files, there))
    if wrong:
        raise VendorError(
            f"{address} does not hold what was sent: {', '.join(wrong)}",
            why="The hashes that the Hub gives for these files are others. The commit has no tag.",
            fix="Push again; use nothing from this commit.",
        )


def _not_as_sent(adapter: Adapter, files: Mapping[str, bytes | Path], there: Mapping[str, Any]) -> Iterator[str]:
    for name, content in files.items():
        small = content if isinstance(content, bytes) else None
        sha256 = adapter.manifest.files.get(name) or hashlib.sha256(small or b"").hexdigest()
        if name not in there or not _is_as_sent(there[name], sha256, small):
            yield name
