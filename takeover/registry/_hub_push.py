"""Publishing an adapter on the Hub: one commit a version, a tag on it, and what arrived is compared with what was sent.

Nothing is visible before the commit, and the commit is one request; so whatever is cut off, the same command goes on.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from takeover.adapter import Adapter
from takeover.adapter.signing import is_signed
from takeover.errors import Refusals, Refused, VendorError
from takeover.hub_client import asking, hub_api, hub_token, no_token, status_of
from takeover.registry._types import Pushed, Say
from takeover.registry.address import Address
from takeover.registry.cache import MANIFEST, wanted
from takeover.registry.card import README, card_mistakes, card_to_push
from takeover.registry.hub import DIGEST, repo_facts, said_by_hub, tags_of

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["push_to_hub", "require_tag"]

_WEIGHTS = "adapter_model.safetensors"
_MAIN = "main"
_TRIES = 3
# What a repository may hold before the first version comes: the Hub's own file, and what people add by hand.
_HARMLESS = {".gitattributes", ".gitignore", README, "LICENSE", "LICENSE.md", "adapter_config.json", _WEIGHTS}
_TAG = re.compile(r"(?!.*\.\.)(?!.*\.lock$)[A-Za-z0-9][A-Za-z0-9._-]{0,99}(?<!\.)")


@dataclass(frozen=True)
class _State:
    """The repository as it is: its head, its tags (name -> commit), the head's files (name -> what the Hub says)."""

    head: str
    tags: Mapping[str, str]
    files: Mapping[str, Any]


def require_tag(tag: str) -> str:
    """Refused for a tag that git or a reader could mistake."""
    if _TAG.fullmatch(tag) is None or tag == _MAIN or re.fullmatch(r"[0-9a-f]{40}", tag):
        fix = "Use letters, digits, dots, - and _, such as --tag v3."
        raise Refused(f"{tag!r} is no tag for a version", fix=fix, where="--tag")
    return tag


def push_to_hub(adapter: Adapter, address: Address, *, private: bool, tag: str | None, say: Say) -> Pushed:
    """One commit on `main` with the adapter, and a tag on it; a digest that is there already gets no second commit.

    AuthError without a token (nothing was created), Refused for a card the Hub would not take, a tag on another
    version, a public repository where a private one was asked for, or one that holds something else.
    """
    name = require_tag(tag or adapter.digest.removeprefix("sha256:")[:12])
    if hub_token() is None:
        raise no_token(f"pushing to {address}")
    files = _files(adapter, address, name)
    with said_by_hub(address, "pushed to"):
        api = hub_api()
        head = _require_repository(api, address, private, say)
        commit, created, tags = _committed(api, adapter, address, files, name, head, say)
        if created:
            _require_arrived(api, adapter, address.at(commit), files)
        if tag is None and tags:
            name = tags[0]  # it has a name already, and nobody asked for another
        elif name not in tags:
            _tag(api, address, name, commit)
    url = f"{api.endpoint}/{address.path}/tree/{commit}"
    return Pushed(address.at(commit), adapter.digest, url, created, name)


def _files(adapter: Adapter, address: Address, tag: str) -> dict[str, bytes | Path]:
    """What is pushed, by name; small files as the bytes that were verified, the weights as their path."""
    names = [path.relative_to(adapter.path).as_posix() for path in adapter.path.rglob("*") if path.is_file()]
    report = sorted(name for name in names if name.startswith("report/"))
    readme = adapter.path / README
    written = readme.read_text(encoding="utf-8") if readme.is_file() else None
    card = card_to_push(written, adapter.manifest, report, str(address.at(tag)), is_signed(adapter))
    Refusals.raise_if_any(f"the model card of {adapter.path} was refused", card_mistakes(card, str(readme)))
    found: dict[str, bytes | Path] = {
        name: adapter.path / name if name == _WEIGHTS else (adapter.path / name).read_bytes() for name in wanted(names)
    }
    return {**found, README: card.encode()}


def _require_repository(api: HfApi, address: Address, private: bool, say: Say) -> str:
    """The head of `main`, in a repository that is made if there is none."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        facts = repo_facts(api, address)
    except RepositoryNotFoundError as error:
        if status_of(error) != 404:  # a token that may not see it, or none that counts
            raise
        say(f"making the repository {address.path} ({'private' if private else 'public'})")
        api.create_repo(address.path, private=private or None, exist_ok=True)
        facts = repo_facts(api, address)
    if private and not facts.private:
        raise Refused(
            f"{address.path} is public, and --private was asked for",
            why="A repository that exists keeps its visibility; what was pushed could be read by anybody.",
            fix=f"Make it private first: hf repos settings {address.path} --private; or push to another name.",
            where=str(address),
        )
    return str(facts.sha)


def _committed(
    api: HfApi,
    adapter: Adapter,
    address: Address,
    files: Mapping[str, bytes | Path],
    tag: str,
    head: str,
    say: Say,
) -> tuple[str, bool, tuple[str, ...]]:
    """The commit that holds this digest, whether it was made here, and the tags that are on it already.

    Somebody else's push between (409, 412), and an answer that got lost (the commit may have been made or not), are met
    in one way: look again.
    """
    for attempt in range(1, _TRIES + 1):
        state = _state(api, address, head)
        known = _known_commit(api, adapter, address, state, tag)
        if known is not None:
            return known, False, tuple(name for name, commit in state.tags.items() if commit == known)
        _require_ours(address, state)
        try:
            return _commit(api, adapter, address, files, state, say), True, ()
        except Exception as error:  # the client's kinds are many; what is no passing trouble is raised again
            if attempt == _TRIES or not _may_have_changed(error):
                raise
            say("the repository changed meanwhile; looking again")
            time.sleep(0.5 * attempt)
            head = str(asking(lambda: api.model_info(address.path)).sha)
    raise AssertionError("the last attempt raises")


def _may_have_changed(error: BaseException) -> bool:
    from huggingface_hub.errors import HTTPError

    status = status_of(error)
    return status in (409, 412, 500, 502, 503, 504) or (status is None and isinstance(error, HTTPError))


def _state(api: HfApi, address: Address, head: str) -> _State:
    return _State(head, _commits_of(tags_of(api, address)), _tree(api, address.at(head)))


def _commits_of(tags: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {name: commit for commit, names in tags.items() for name in names}


def _tree(api: HfApi, address: Address) -> dict[str, Any]:
    from huggingface_hub import RepoFile

    entries = asking(lambda: list(api.list_repo_tree(address.path, recursive=True, revision=address.revision)))
    return {each.path: each for each in entries if isinstance(each, RepoFile)}


def _known_commit(api: HfApi, adapter: Adapter, address: Address, state: _State, tag: str) -> str | None:
    """The commit that brought this payload, if there is one; Refused where the tag is on another version."""
    tagged = state.tags.get(tag)
    if tagged is not None:
        if _holds(adapter, _tree(api, address.at(tagged))):
            return tagged
        raise _tag_taken(address, tag, tagged)
    commits = asking(lambda: api.list_repo_commits(address.path, revision=_MAIN))
    named = [str(each.commit_id) for each in commits if adapter.digest in DIGEST.findall(each.message)]
    for commit in reversed(named):
        if _holds(adapter, _tree(api, address.at(commit))):
            return commit
    return state.head if _holds(adapter, state.files) else None


def _tag_taken(address: Address, tag: str, commit: str) -> Refused:
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
        name in files and _is_as_sent(files[name], sha256, small if name != _WEIGHTS else None)
        for name, sha256 in hashes.items()
    )


def _is_as_sent(entry: Any, sha256: str, content: bytes | None) -> bool:
    """Whether the Hub has that file: a large one by its SHA-256, a small one by git's hash of a blob."""
    if entry.lfs is not None:
        return bool(entry.lfs.sha256 == sha256)
    return content is not None and bool(entry.blob_id == _git_hash(content))


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _require_ours(address: Address, state: _State) -> None:
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


def _commit(
    api: HfApi, adapter: Adapter, address: Address, files: Mapping[str, bytes | Path], state: _State, say: Say
) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    additions = [CommitOperationAdd(name, content) for name, content in files.items()]
    stale = [name for name in state.files if name.startswith("report/") and name not in files]
    size = sum(each.upload_info.size for each in additions)
    say(f"uploading {adapter.served_name} ({size / 1e6:.1f} MB)")
    api.preupload_lfs_files(address.path, additions, revision=_MAIN, free_memory=False)
    for each in additions:
        _require_unchanged(adapter, each)
    try:
        made = api.create_commit(
            address.path,
            [*additions, *(CommitOperationDelete(name) for name in stale)],
            commit_message=f"Publish {adapter.served_name}",
            commit_description=f"{adapter.digest}\n",
            revision=_MAIN,
            parent_commit=state.head,
        )
    except ValueError as error:  # what the Hub says of the card, or of a file that it could not store
        raise _by_the_client(error) from error
    return str(made.oid)


def _require_unchanged(adapter: Adapter, addition: Any) -> None:
    """What was hashed while it was uploaded is what was verified before."""
    wanted_hash = adapter.manifest.files.get(addition.path_in_repo)
    if wanted_hash is not None and addition.upload_info.sha256.hex() != wanted_hash:
        raise Refused(
            "it was changed while it was uploaded",
            why="Its SHA-256 is no longer the manifest's. No version was published.",
            fix="Let no other program write there, and push again.",
            where=str(adapter.path / addition.path_in_repo),
        )


def _by_the_client(error: ValueError) -> Exception:
    lines = str(error).splitlines()
    if not lines or "README.md" not in lines[0]:
        return error
    found = [line.removeprefix("- ") for line in lines[1:] if line.strip()]
    return Refusals(
        "the Hub refused the model card",
        [Refused(each, fix="Mend the block at its top; no version was published.", where=README) for each in found],
    )


def _require_arrived(api: HfApi, adapter: Adapter, address: Address, files: Mapping[str, bytes | Path]) -> None:
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


def _tag(api: HfApi, address: Address, tag: str, commit: str) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    try:
        api.create_tag(address.path, tag=tag, revision=commit)
    except HfHubHTTPError as error:
        if status_of(error) != 409:
            raise
        taken_by = _commits_of(tags_of(api, address)).get(tag)
        if taken_by != commit:
            raise _tag_taken(address, tag, str(taken_by)) from error
