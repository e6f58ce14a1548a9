"""The cache of pulled adapters: `<cache>/adapters/<digest hex>`, whole or not there, shared by all processes.

<digest hex>/            an adapter, verified when it was put here and on every opening
from/<key>.json          which folder the address with that key was found in
incoming/<key>/          what was got so far of an address; a pull that was cut off goes on here
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from takeover.adapter import Adapter, open_adapter
from takeover.bases import cache_dir
from takeover.errors import Refusals, Refused
from takeover.folders import full_disk_refused, waited_lock
from takeover.registry._types import Listing, Say
from takeover.registry.address import Address

__all__ = ["adapters_dir", "kept", "wanted"]

MANIFEST = "manifest.json"
_FILES = (MANIFEST, "README.md", "adapter_config.json", "adapter_model.safetensors")
_PART = ".part"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_AT_ONCE = 4
_LARGEST_MANIFEST = 4_000_000


def adapters_dir() -> Path:
    """Where pulled adapters are kept; not created here."""
    return cache_dir() / "adapters"


def wanted(names: Iterable[str]) -> list[str]:
    """Of the files of a version those that belong to an adapter; the manifest first, it says whether the rest is here.

    Whatever else lies there (code, pickles, a name that climbs out) is never fetched.
    """
    ours = [name for name in names if name in _FILES or (name.startswith("report/") and _is_plain(name))]
    return sorted(ours, key=lambda name: (name != MANIFEST, name))


def _is_plain(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return "/".join(parts) == name and ".." not in parts and "\\" not in name and name.isprintable()


def kept(address: Address, digest: str | None, listing: Callable[[], Listing], say: Say) -> Adapter:
    """The adapter at a pinned address: from the cache, else fetched by `listing()`, verified, and moved into the cache.

    Refused or Refusals when what is there is damaged or is not `digest`; nothing of it stays then. What `listing` or
    its `get` raise goes through, and the next call goes on with what was got.
    """
    home = adapters_dir()
    key = hashlib.sha256(str(address).encode()).hexdigest()[:32]
    incoming = home / "incoming" / key
    with full_disk_refused(home):
        incoming.parent.mkdir(parents=True, exist_ok=True)
        with waited_lock(incoming, say):
            found = _seen_before(home / "from" / f"{key}.json", address, say)
            if found is None:
                with _nothing_left_of_nothing(incoming):
                    found = _fetched(address, digest, listing, incoming, say)
                _remember(home / "from" / f"{key}.json", address, found)
    return _require(found, address, digest)


@contextmanager
def _nothing_left_of_nothing(incoming: Path) -> Iterator[None]:
    """When not a byte came, nothing is kept to go on with."""
    try:
        yield
    finally:
        if incoming.is_dir() and not any(path.stat().st_size for path in incoming.rglob("*") if path.is_file()):
            shutil.rmtree(incoming)


def _require(found: Adapter, address: Address, digest: str | None) -> Adapter:
    if digest is not None and found.digest != digest:
        raise _another(address, found.digest, digest)
    return found


def _another(address: Address, found: str, digest: str) -> Refused:
    return Refused(
        f"{address} holds {found}, but {digest} was asked for",
        why="The address and the digest are not of one version; a tag or branch may have been moved.",
        fix=f"See `takeover versions {address.root}`, and write an address and its digest from there.",
        where=str(address),
    )


def _seen_before(note: Path, address: Address, say: Say) -> Adapter | None:
    """What this address was found to be, if it is whole still."""
    try:
        folder = adapters_dir() / json.loads(note.read_text(encoding="utf-8"))["folder"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return _whole(folder, address, say)


def _whole(folder: Path, address: Address, say: Say) -> Adapter | None:
    if not folder.is_dir():
        return None
    try:
        return open_adapter(folder)
    except Refused:
        say(f"the copy of {address} in the cache is damaged and is fetched again")
        shutil.rmtree(folder)
        return None


def _remember(note: Path, address: Address, found: Adapter) -> None:
    note.parent.mkdir(exist_ok=True)
    new = note.with_name(f"{note.name}.{os.getpid()}")
    new.write_text(json.dumps({"address": str(address), "folder": found.path.name}), encoding="utf-8")
    new.replace(note)


def _fetched(address: Address, digest: str | None, listing: Callable[[], Listing], incoming: Path, say: Say) -> Adapter:
    files = listing()
    names = wanted(files.sizes)
    if MANIFEST not in names:
        raise Refused(
            f"{address} holds no adapter: there is no {MANIFEST}",
            why="An adapter is published by `takeover push`, with a manifest that says what it is.",
            fix=f"See `takeover versions {address.root}` for what is there.",
        )
    if files.sizes[MANIFEST] > _LARGEST_MANIFEST:
        raise Refused(f"the {MANIFEST} of {address} has {files.sizes[MANIFEST]} bytes: it is none", where=str(address))
    incoming.mkdir(exist_ok=True)
    _get(files, MANIFEST, incoming)
    says = _digest_in(incoming / MANIFEST)
    if digest is not None and says not in (None, digest):
        shutil.rmtree(incoming)
        raise _another(address, str(says), digest)
    same = _in_cache(incoming / MANIFEST, says, address, say)
    if same is not None:
        shutil.rmtree(incoming)
        return same
    say(f"fetching {address} ({sum(files.sizes[name] for name in names) / 1e6:.1f} MB)")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda name: _get(files, name, incoming), names[1:]))
    return _moved_in(_verified(incoming, address), address, say)


def _get(files: Listing, name: str, folder: Path) -> None:
    """One file, going on where an earlier call was cut off; the size is checked here, the content when all is there."""
    target, size = folder / name, files.sizes[name]
    if target.is_file() and target.stat().st_size == size:
        return
    part = folder / f"{name}{_PART}"
    part.parent.mkdir(parents=True, exist_ok=True)
    if part.exists() and part.stat().st_size > size:
        part.unlink()
    part.touch()
    if part.stat().st_size < size:
        files.get(name, part)
    part.replace(target)


def _digest_in(manifest: Path) -> str | None:
    """The digest that a manifest claims, None where it is no manifest: opening will say what is wrong with it."""
    try:
        claimed = json.loads(manifest.read_bytes())["digest"]
    except (ValueError, LookupError, TypeError):
        return None
    return claimed if isinstance(claimed, str) and _DIGEST.fullmatch(claimed) else None


def _in_cache(manifest: Path, digest: str | None, address: Address, say: Say) -> Adapter | None:
    """The adapter with this very manifest, if another address brought it here already."""
    folder = adapters_dir() / (digest or "sha256:").removeprefix("sha256:")
    with suppress(OSError):
        if digest is not None and (folder / MANIFEST).read_bytes() == manifest.read_bytes():
            return _whole(folder, address, say)
    return None


def _verified(incoming: Path, address: Address) -> Adapter:
    """Opened, or thrown away: what is wrong there is named by the address, because the folder is gone."""
    try:
        return open_adapter(incoming)
    except Refusals as several:
        shutil.rmtree(incoming)
        raise Refusals(
            f"{address} was refused", [_at_address(each, incoming, address) for each in several.mistakes]
        ) from None
    except Refused:
        shutil.rmtree(incoming)
        raise


def _at_address(mistake: Refused, incoming: Path, address: Address) -> Refused:
    where = mistake.where.replace(str(incoming), str(address))
    fix = "Fetch it again; if it is refused again, what was published there is damaged: push it anew."
    return Refused(mistake.happened, why=mistake.why, fix=fix, where=where)


def _moved_in(found: Adapter, address: Address, say: Say) -> Adapter:
    """Under its digest; beside it where that folder holds the same payload with another manifest."""
    value, seal = found.digest.removeprefix("sha256:"), (found.path / MANIFEST).read_bytes()
    for name in (value, f"{value}-{hashlib.sha256(seal).hexdigest()[:12]}"):
        folder = adapters_dir() / name
        with waited_lock(folder, say):
            there = _whole(folder, address, say)
            if there is None:
                found.path.rename(folder)
                return Adapter(folder, found.manifest)
            if (folder / MANIFEST).read_bytes() == seal:
                shutil.rmtree(found.path)
                return there
    raise AssertionError("the second folder is named by this very manifest")
