"""Adapters on the Hugging Face Hub: which commit a name stands for, what is in it, and which versions there are."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from takeover.adapter._manifest import Manifest, parse_manifest
from takeover.errors import Refused, TakeoverError
from takeover.hub_client import asking, explained, hub_api, hub_token, status_of, unreachable
from takeover.registry._types import Listing, Say, Version
from takeover.registry.address import Address
from takeover.registry.cache import MANIFEST

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = [
    "DIGEST",
    "MAIN",
    "listing",
    "repo_facts",
    "resolve",
    "said_by_hub",
    "tags_of",
    "versions",
]

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
MAIN = "main"
# Above this a file is worth a progress bar, and going on with in the middle.
_LARGE = 1_000_000
_AT_ONCE = 8
_TRIES = 3


@contextmanager
def said_by_hub(address: Address, doing: str) -> Iterator[None]:
    """Every error of the Hub's client in our words; `doing` is a participle: `fetched`."""
    try:
        yield
    except TakeoverError:
        raise
    except Exception as error:  # the client raises a dozen kinds, its HTTP library's among them
        known = explained(error, address.path, str(address), "adapter")
        raise known or unreachable(error, str(address), doing) from error


def repo_facts(api: HfApi, address: Address, revision: str | None = None) -> Any:
    """The Hub's ModelInfo (`sha`, `private`, `gated`). Refused where the repository has another name by now.

    The Hub answers for a renamed repository by a redirect, so a stack would go on silently with a name that somebody
    else may take tomorrow.
    """
    info = asking(lambda: api.model_info(address.path, revision=revision))
    if info.id.lower() != address.path.lower():
        renamed = f"hf://{info.id}" + (f"@{address.revision}" if address.revision else "")
        raise Refused(
            f"the repository {address.path} was renamed: it is {info.id} now",
            why="The Hub still leads from the old name to the new one, but the old one may be taken by anybody.",
            fix=f"Write {renamed}; commits and digests are the same.",
            where=str(address),
        )
    return info


def resolve(address: Address) -> Address:
    """The address at the commit that its branch or tag stands for now; one that names a commit is checked to exist."""
    with said_by_hub(address, "looked up"):
        commit = repo_facts(hub_api(), address, address.revision or MAIN).sha
    return address.at(str(commit))


def listing(address: Address) -> Listing:
    """The files at the address's commit."""
    from huggingface_hub import RepoFile

    with said_by_hub(address, "fetched"):
        api = hub_api()
        repo_facts(api, address, address.revision)
        entries = asking(lambda: list(api.list_repo_tree(address.path, recursive=True, revision=address.revision)))
    sizes = {each.path: int(each.size) for each in entries if isinstance(each, RepoFile)}
    return Listing(sizes, lambda name, part: _get(address, name, sizes[name], part))


def _get(address: Address, name: str, size: int, part: Path) -> None:
    """Append what is missing of a file. The client keeps no half of a file that it was killed over, so this does."""
    with said_by_hub(address, "fetched"):
        if size <= _LARGE:
            part.write_bytes(_read(address, name))
        else:
            _stream_all(_url(address, name), size, part)


def _stream_all(url: str, size: int, part: Path) -> None:
    """A connection that broke is taken up again; it is given up when nothing came over it several times running."""
    in_vain = 0
    while True:
        had = part.stat().st_size
        try:
            return _stream(url, size, part)
        except Exception as error:
            in_vain = in_vain + 1 if part.stat().st_size == had else 0
            if in_vain == _TRIES or status_of(error) is not None:
                raise
            time.sleep(1)


def _stream(url: str, size: int, part: Path) -> None:
    from huggingface_hub.utils import hf_raise_for_status, http_stream_backoff, tqdm

    with part.open("ab") as file:
        start = file.tell()
        wanted = {"Range": f"bytes={start}-"} if start else {}
        headers = {**_headers(), "Accept-Encoding": "identity", **wanted}
        # A body that breaks off is no matter of its retries: they could only begin again.
        with http_stream_backoff("GET", url, headers=headers, retry_on_exceptions=()) as response:
            hf_raise_for_status(response)
            if start and response.status_code != 206:  # the server sends all of it again
                file.truncate(0)
                start = 0
            with tqdm(desc=part.stem, total=size, initial=start, unit="B", unit_scale=True) as progress:
                for chunk in response.iter_bytes():
                    file.write(chunk)
                    progress.update(len(chunk))


def _read(address: Address, name: str) -> bytes:
    from huggingface_hub.utils import hf_raise_for_status, http_backoff

    response = http_backoff("GET", _url(address, name), headers=_headers())
    hf_raise_for_status(response)
    return bytes(response.content)


def _url(address: Address, name: str) -> str:
    from huggingface_hub import hf_hub_url

    return str(hf_hub_url(address.path, name, revision=address.revision, endpoint=hub_api().endpoint))


def _headers() -> dict[str, str]:
    from huggingface_hub.utils import build_hf_headers

    return dict(build_hf_headers(token=hub_token() or False, library_name="takeover"))


def _manifest(address: Address) -> Manifest | None:
    """The manifest at a commit, or None where there is none that can be read."""
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return parse_manifest(_read(address, MANIFEST), f"{address}/{MANIFEST}")
    except (Refused, EntryNotFoundError):
        return None


def versions(address: Address, say: Say) -> list[Version]:
    """The versions on `main`, the newest first: commits that name a digest, are tagged, or are the head.

    A digest is listed once, with the commit that brought it; commits that changed only words count to the one before.
    """
    with said_by_hub(address, "listed"):
        api = hub_api()
        repo_facts(api, address)
        tags = tags_of(api, address)
        commits = asking(lambda: api.list_repo_commits(address.path, revision=MAIN))
        marked = [
            (index, each)
            for index, each in enumerate(commits)
            if index == 0 or each.commit_id in tags or DIGEST.search(each.message)
        ]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            manifests = list(pool.map(lambda pair: _manifest(address.at(pair[1].commit_id)), marked))
    found: dict[str, Version] = {}
    for (_, commit), manifest in zip(reversed(marked), reversed(manifests), strict=True):
        if manifest is None:
            say(f"the commit {commit.commit_id} has no readable {MANIFEST}")
            continue
        names = tags.get(commit.commit_id, ())
        known = found.get(manifest.digest)
        found[manifest.digest] = (
            _version(address.at(commit.commit_id), manifest, commit.created_at, names)
            if known is None
            else _with_tags(known, names)
        )
    return list(reversed(found.values()))


def tags_of(api: HfApi, address: Address) -> Mapping[str, tuple[str, ...]]:
    """commit -> its tags."""
    refs = asking(lambda: api.list_repo_refs(address.path))
    found: dict[str, tuple[str, ...]] = {}
    for each in refs.tags:
        found[each.target_commit] = (*found.get(each.target_commit, ()), each.name)
    return found


def _version(address: Address, manifest: Manifest, published: datetime, tags: tuple[str, ...]) -> Version:
    return Version(
        address=address,
        name=manifest.name,
        digest=manifest.digest,
        created=manifest.created,
        published=_utc(published),
        tags=tags,
        evaluation=manifest.evaluation,
    )


def _with_tags(version: Version, tags: tuple[str, ...]) -> Version:
    return replace(version, tags=(*version.tags, *tags))


def _utc(moment: datetime) -> str:
    """As manifests write it: 2026-11-25T12:00:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
