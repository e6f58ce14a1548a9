"""Adapters in a bucket (S3, Google Cloud Storage) or in a folder, through fsspec: one folder a version.

    <place>/<digest hex>/adapter_config.json ...     the files of an adapter
    <place>/<digest hex>/manifest.json               written last: without it the version does not exist

The digest is the name, so a version is never overwritten by another one and nothing has to be locked: two who publish
the same version write the same bytes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from takeover.adapter import Adapter
from takeover.adapter._manifest import Manifest, parse_manifest
from takeover.errors import AuthError, RateLimited, Refused, TakeoverError, VendorError
from takeover.folders import full_disk_refused
from takeover.registry._types import Listing, Pushed, Say, Version
from takeover.registry.address import Address, Kind
from takeover.registry.cache import MANIFEST, wanted

__all__ = ["listing", "push_to_bucket", "resolve", "versions"]

_CHUNK = 8 * 1024 * 1024
_HEX = re.compile(r"[0-9a-f]{64}")
# The package that speaks to the place, and where it finds its credentials.
_PACKAGES: Mapping[Kind, tuple[str, str]] = {
    "s3": ("s3fs", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the machine's own role"),
    "gs": ("gcsfs", "GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default login`"),
}


def push_to_bucket(adapter: Adapter, address: Address, say: Say) -> Pushed:
    """Write the version's files, read the payload back, and only then write the manifest, which makes it exist."""
    place = address.at(adapter.digest)
    names = [path.relative_to(adapter.path).as_posix() for path in adapter.path.rglob("*") if path.is_file()]
    with _said_by(place):
        files, folder = _files(address.kind), _folder(place)
        known = _manifest(files, place)
        if known is None or known.digest != adapter.digest:
            say(f"uploading {adapter.served_name} to {address.root}")
            for name in wanted(names)[1:]:
                _put(files, adapter.path / name, f"{folder}/{name}", address.kind)
            _require_arrived(files, adapter, place)
            _write_manifest(files, place, (adapter.path / MANIFEST).read_bytes())
            return Pushed(place, adapter.digest, place.root, created=True)
    return Pushed(place, adapter.digest, place.root, created=False)


def listing(address: Address) -> Listing:
    """The files of a version."""
    with _said_by(address):
        files, folder = _files(address.kind), _folder(address)
        found = files.find(folder, detail=True)
        start = files._strip_protocol(folder).rstrip("/") + "/"
        sizes = {str(path).removeprefix(start): int(facts["size"]) for path, facts in found.items()}
    if MANIFEST not in sizes:
        raise _no_version(address)
    return Listing(sizes, lambda name, part: _get(files, address, f"{folder}/{name}", sizes[name], part))


def versions(address: Address, say: Say) -> list[Version]:
    """The versions in a place, the newest first."""
    found = []
    with _said_by(address):
        files = _files(address.kind)
        for entry in files.ls(_root(address), detail=False):
            value = str(entry).rstrip("/").rpartition("/")[2]
            if not _HEX.fullmatch(value):
                continue
            place = address.at(f"sha256:{value}")
            manifest = _manifest(files, place)
            if manifest is None:
                say(f"{place} was not published to its end")
            else:
                found.append(_version(place, manifest))
    return sorted(found, key=lambda each: each.created, reverse=True)


def resolve(address: Address) -> Address:
    """The address with a digest: the one it names, or that of the only version there is."""
    if address.digest is not None:
        return address
    found = versions(address, lambda _: None)
    if len(found) == 1:
        return found[0].address
    names = ", ".join(each.digest for each in found[:5])
    raise Refused(
        f"{address} names no version, and there {'are several' if found else 'is none'}",
        why=f"They are {names}{' ...' if found[5:] else ''}." if found else "",
        fix=f"Add @sha256:<digest>; `takeover versions {address}` lists them." if found else "Push one first.",
        where=str(address),
    )


def _version(place: Address, manifest: Manifest) -> Version:
    return Version(place, manifest.name, manifest.digest, manifest.created, evaluation=manifest.evaluation)


def _files(kind: Kind) -> Any:
    """fsspec's file system (one for the process), without its listings' cache: what others publish must be seen."""
    fsspec = import_module("fsspec")
    if kind == "file":
        return fsspec.filesystem("file")
    package, _ = _PACKAGES[kind]
    try:
        import_module(package)
    except ImportError as error:
        raise Refused(
            f"the package for {kind}:// is not installed",
            why=f"Python could not import {error.name or package}.",
            fix=f"Install it: `uv pip install {package}`, or `pip install {package}`.",
        ) from error
    return fsspec.filesystem(kind, use_listings_cache=False)


def _root(address: Address) -> str:
    return os.path.abspath(Path(address.path).expanduser()) if address.kind == "file" else address.path  # noqa: PTH100


def _folder(address: Address) -> str:
    return f"{_root(address)}/{str(address.digest).removeprefix('sha256:')}"


def _manifest(files: Any, place: Address) -> Manifest | None:
    """The manifest of a version that was published to its end, else None."""
    try:
        data = files.cat_file(f"{_folder(place)}/{MANIFEST}")
    except FileNotFoundError:
        return None
    try:
        return parse_manifest(data, f"{place}/{MANIFEST}")
    except Refused:
        return None


def _put(files: Any, source: Path, target: str, kind: Kind) -> None:
    if kind == "file":  # elsewhere it would make a bucket of a name that was misspelt
        files.makedirs(target.rpartition("/")[0], exist_ok=True)
    files.put_file(str(source), target)


def _require_arrived(files: Any, adapter: Adapter, place: Address) -> None:
    for name, wanted_hash in adapter.manifest.files.items():
        path = f"{_folder(place)}/{name}"
        hashed = hashlib.sha256()
        for chunk in _chunks(files, path, 0, int(files.info(path)["size"])):
            hashed.update(chunk)
        if hashed.hexdigest() != wanted_hash:
            raise VendorError(
                f"{place} does not hold what was sent: {name}",
                why="Read back, its SHA-256 is another. The version was not published.",
                fix="Push again.",
            )


def _write_manifest(files: Any, place: Address, data: bytes) -> None:
    """In one step: an object store does so anyway, on a disk the file is renamed into its place."""
    path = f"{_folder(place)}/{MANIFEST}"
    if place.kind != "file":
        files.pipe_file(path, data)
        return
    new = Path(f"{path}.{os.getpid()}")
    new.write_bytes(data)
    new.replace(path)


def _get(files: Any, address: Address, path: str, size: int, part: Path) -> None:
    """Append what is missing of a file, piece by piece, so that a pull that was cut off goes on where it was."""
    with _said_by(address), part.open("ab") as file:
        for chunk in _chunks(files, path, file.tell(), size):
            file.write(chunk)


def _chunks(files: Any, path: str, start: int, size: int) -> Iterator[bytes]:
    while start < size:
        chunk = files.cat_file(path, start=start, end=min(start + _CHUNK, size))
        if not chunk:
            raise VendorError(f"{path} ends after {start} bytes, but should have {size}", fix="Fetch it again.")
        start += len(chunk)
        yield chunk


def _no_version(address: Address) -> Refused:
    return Refused(
        f"there is no such version: {address}",
        why="No manifest.json lies there: it was never published, or not to its end.",
        fix=f"See `takeover versions {address.root}`.",
    )


@contextmanager
def _said_by(address: Address) -> Iterator[None]:
    """Every error of the place in our words. Its own words are not repeated: they may quote a request and its key."""
    try:
        with full_disk_refused(Path(address.path)):
            yield
    except TakeoverError:
        raise
    except Exception as error:  # each file system has its own kinds
        raise _explained(error, address) from error


def _explained(error: Exception, address: Address) -> TakeoverError:
    kinds = {each.__name__ for each in type(error).__mro__}
    credentials = _PACKAGES[address.kind][1] if address.kind in _PACKAGES else "the folder's permissions"
    if kinds & {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError", "RefreshError"}:
        return AuthError(
            f"there are no credentials for {address.kind}://",
            why="Nothing was created.",
            fix=f"Give {credentials}.",
            where=str(address),
        )
    if isinstance(error, PermissionError):
        return AuthError(f"{address} may not be used with these credentials", fix=f"Check {credentials}.")
    if isinstance(error, FileNotFoundError):
        return Refused(f"there is nothing at {address}", fix="Check the bucket's and the folder's name; or push first.")
    if getattr(error, "errno", None) == errno.EBUSY:  # what s3fs makes of SlowDown
        return RateLimited(f"{address} was asked too often", fix="Run the same command again later.")
    return VendorError(
        f"{address} could not be reached",
        why=f"The client said: {type(error).__name__}.",
        fix="Check the network, then run the same command again.",
    )
