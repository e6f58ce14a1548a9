"""Publishing an adapter on the Hub: one commit a version, a tag on it, and what arrived is compared with what was sent.

Nothing is visible before the commit, and the commit is one request; so whatever is cut off, the same command goes on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from takeover.adapter import Adapter, open_adapter
from takeover.adapter.signing import is_signed
from takeover.bases import parse_base
from takeover.errors import Refusals, Refused
from takeover.hub_client import asking, hub_api, hub_token, no_token, status_of
from takeover.registry._hub_there import (
    WEIGHTS,
    State,
    commits_of,
    known_commit,
    require_arrived,
    require_ours,
    state_of,
    tag_taken,
)
from takeover.registry._types import Pushed, Say
from takeover.registry.address import Address
from takeover.registry.cache import wanted
from takeover.registry.card import README, card_mistakes, card_to_push
from takeover.registry.hub import MAIN, repo_facts, said_by_hub, tags_of

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["push_to_hub", "require_tag"]

_TRIES = 3
_TAG = re.compile(r"(?!.*\.\.)(?!.*\.lock$)[A-Za-z0-9][A-Za-z0-9._-]{0,99}(?<!\.)")


def require_tag(tag: str) -> str:
    """Refused for a tag that git or a reader could mistake."""
    if _TAG.fullmatch(tag) is None or tag == MAIN or re.fullmatch(r"[0-9a-f]{40}", tag):
        fix = "Use letters, digits, dots, - and _, such as --tag v3."
        raise Refused(f"{tag!r} is no tag for a version", fix=fix, where="--tag")
    return tag


def push_to_hub(adapter: Adapter, address: Address, *, private: bool, tag: str | None, say: Say) -> Pushed:
    """One commit on `main` with the adapter, and a tag on it; a digest that is there already gets no second commit.

    AuthError without a token (nothing was created), Refused for a card the Hub would not take, a tag on another
    version, a public repository where a private one was asked for, or one that holds something else.
    """
    name = require_tag(tag or adapter.digest.removeprefix("sha256:")[:12])
    with said_by_hub(address, "pushed to"):
        if hub_token() is None:
            raise no_token(f"pushing to {address}")
        files = _files(adapter, address, name)
        _say_of_base(adapter, say)
        api = hub_api()
        head = _require_repository(api, address, private, say)
        commit, created, tags = _committed(api, adapter, address, files, name, head, say)
        if created:
            require_arrived(api, adapter, address.at(commit), files)
        if tag is None and tags:
            name = tags[0]  # it has a name already, and nobody asked for another
        elif name not in tags:
            _tag(api, address, name, commit)
    url = f"{api.endpoint}/{address.path}/tree/{commit}"
    return Pushed(address.at(commit), adapter.digest, url, created, name)


def _say_of_base(adapter: Adapter, say: Say) -> None:
    if parse_base(adapter.manifest.base).kind == "folder":
        say(f"its base is a folder of this machine, {adapter.manifest.base}: whoever pulls it needs that very base")


def _files(adapter: Adapter, address: Address, tag: str) -> dict[str, bytes | Path]:
    """What is pushed, by name; small files as the bytes that were verified, the weights as their path."""
    names = [path.relative_to(adapter.path).as_posix() for path in adapter.path.rglob("*") if path.is_file()]
    report = sorted(name for name in names if name.startswith("report/"))
    readme = adapter.path / README
    written = readme.read_text(encoding="utf-8") if readme.is_file() else None
    card = card_to_push(written, adapter.manifest, report, str(address.at(tag)), is_signed(adapter))
    Refusals.raise_if_any(f"the model card of {adapter.path} was refused", card_mistakes(card, str(readme)))
    found: dict[str, bytes | Path] = {
        name: adapter.path / name if name == WEIGHTS else (adapter.path / name).read_bytes() for name in wanted(names)
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
        state = state_of(api, address, head)
        known = known_commit(api, adapter, address, state, tag)
        if known is not None:
            return known, False, tuple(name for name, commit in state.tags.items() if commit == known)
        require_ours(address, state)
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


def _commit(
    api: HfApi, adapter: Adapter, address: Address, files: Mapping[str, bytes | Path], state: State, say: Say
) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    additions = [CommitOperationAdd(name, content) for name, content in files.items()]
    stale = [name for name in state.files if name.startswith("report/") and name not in files]
    say(f"uploading {adapter.served_name} ({sum(each.upload_info.size for each in additions) / 1e6:.1f} MB)")
    _upload(api, adapter, address, additions)
    try:
        made = api.create_commit(
            address.path,
            [*additions, *(CommitOperationDelete(name) for name in stale)],
            commit_message=f"Publish {adapter.served_name}",
            commit_description=f"{adapter.digest}\n",
            revision=MAIN,
            parent_commit=state.head,
        )
    except ValueError as error:  # what the Hub says of the card, or of a file that it could not store
        raise _by_the_client(error) from error
    return str(made.oid)


def _upload(api: HfApi, adapter: Adapter, address: Address, additions: list[Any]) -> None:
    """Bring the large files there; nothing is visible yet. Refused when a file is no longer what was verified.

    By LFS the storage refuses bytes that have another hash than was announced, so the hash that was just verified is
    announced. Xet takes what it is told, so it is left to hash what it really sends.
    """
    if not _has_xet():
        for each in additions:
            if each.path_in_repo in adapter.manifest.files:
                each.upload_info.sha256 = bytes.fromhex(adapter.manifest.files[each.path_in_repo])
    try:
        api.preupload_lfs_files(address.path, additions, revision=MAIN, free_memory=False)
    except Exception:
        open_adapter(adapter.path, digest=adapter.digest)
        raise
    for each in additions:
        _require_unchanged(adapter, each)


def _has_xet() -> bool:
    from huggingface_hub import constants

    return not constants.HF_HUB_DISABLE_XET and find_spec("hf_xet") is not None


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


def _tag(api: HfApi, address: Address, tag: str, commit: str) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    try:
        api.create_tag(address.path, tag=tag, revision=commit)
    except HfHubHTTPError as error:
        if status_of(error) != 409:
            raise
        taken_by = commits_of(tags_of(api, address)).get(tag)
        if taken_by != commit:
            raise tag_taken(address, tag, str(taken_by)) from error
