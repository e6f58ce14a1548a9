"""Fetch the adapters of a pod and verify them, before the engine starts. Runs alone, in the engine's image.

Nothing of takeover is there: only the standard library, and what vLLM's image holds (huggingface_hub; boto3 and
google-cloud-storage, which come with runai-model-streamer[s3,gcs]). The digest is the one of `takeover.adapter`: the
SHA-256 of what `sha256sum adapter_config.json adapter_model.safetensors` prints.

    TAKEOVER_ADAPTERS   JSON: [{"name": "tone@0123456789ab", "source": "hf://org/tone@<commit>", "digest": "sha256:.."}]
    TAKEOVER_INTO       the folder: each adapter lies in <folder>/<digest's hex> when this ends with 0

An adapter appears whole, by a rename, or not at all. What is no network's fault is not tried again: the container ends
with 1 and one line, Kubernetes starts it anew after a while, and pods of the version before go on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
import urllib.error
import urllib.request
from importlib import import_module
from pathlib import Path
from typing import Any

FILES = ("adapter_config.json", "adapter_model.safetensors")
TRIES = 5
CHUNK = 1 << 20
TIMEOUT_S = 60.0
DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
COMMIT = re.compile(r"[0-9a-f]{40}")


class WrongAdapterError(Exception):
    """It will not be right by trying again."""


def main() -> int:
    """0 when every adapter is there and verified."""
    into = Path(os.environ["TAKEOVER_INTO"])
    for adapter in json.loads(os.environ["TAKEOVER_ADAPTERS"]):
        name = str(adapter["name"])
        try:
            place(name, str(adapter["source"]), str(adapter["digest"]), into)
        except WrongAdapterError as error:
            say(f"{name}: {error}")
            return 1
    return 0


def place(name: str, source: str, digest: str, into: Path) -> None:
    """Have the adapter in its folder below `into`."""
    match = DIGEST.fullmatch(digest)
    if match is None:
        raise WrongAdapterError(f"its digest is {digest!r}, not sha256: and 64 hexadecimal digits")
    folder, staging = into / match[1], into / f".{match[1]}.part"
    if folder.is_dir() and digest_of(folder) == digest:
        say(f"{name}: is there and verified")
        return
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    begun = time.monotonic()
    fetch_with_patience(name, source, match[1], staging)
    found = digest_of(staging)
    if found != digest:
        shutil.rmtree(staging, ignore_errors=True)
        raise WrongAdapterError(f"{source} holds {found}, but {digest} was asked for; it is not served")
    staging.rename(folder)
    size = sum(path.stat().st_size for path in folder.iterdir())
    say(f"{name}: {size} bytes from {source} in {time.monotonic() - begun:.1f} s, verified")


def digest_of(folder: Path) -> str:
    """`sha256:<hex>` of the two files, "" where one is missing; whatever else lies there is removed: it is not part."""
    for path in folder.iterdir():
        if path.name not in FILES:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    if not all((folder / name).is_file() and not (folder / name).is_symlink() for name in FILES):
        return ""
    lines = "".join(f"{sha256_of(folder / name)}  {name}\n" for name in FILES)
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """In pieces: an adapter may be larger than the container's memory."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            found.update(piece)
    return found.hexdigest()


def fetch_with_patience(name: str, source: str, digest: str, staging: Path) -> None:
    """Some tries, with longer and longer pauses: a node that has just started may have no network yet."""
    pause = float(os.environ.get("TAKEOVER_PAUSE_SECONDS", "2"))
    for attempt in range(1, TRIES + 1):
        try:
            fetch(source, digest, staging)
        except WrongAdapterError:
            raise
        except ImportError as error:
            raise WrongAdapterError(f"{source} cannot be fetched: this image has no {error.name}") from None
        except Exception as error:  # noqa: BLE001 each client has its own kinds; the text may hold no key, only addresses
            said = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            if attempt == TRIES:
                raise WrongAdapterError(f"{source} could not be fetched: {said}") from None
            say(f"{name}: {said}; once more in {pause:g} s")
            time.sleep(pause)
            pause *= 2
        else:
            return


def fetch(source: str, digest: str, staging: Path) -> None:
    """The two files of `source` into `staging`."""
    scheme, _, rest = source.partition("://")
    fetchers = {"hf": from_hub, "s3": from_s3, "gs": from_gs, "https": from_web, "http": from_web}
    if scheme not in fetchers or not rest:
        raise WrongAdapterError(f"{source!r} is no address: hf://, s3://, gs:// and https:// are")
    if any(part in ("", ".", "..") for part in rest.rstrip("/").split("/")) or "\\" in rest:
        raise WrongAdapterError(f"{source!r} leads out of its place")
    fetchers[scheme](rest.rstrip("/"), digest, staging)


def from_hub(rest: str, _digest: str, staging: Path) -> None:
    """`org/name@<commit>`; HF_TOKEN and HF_ENDPOINT are the client's own variables."""
    repository, _, commit = rest.partition("@")
    if COMMIT.fullmatch(commit) is None:
        raise WrongAdapterError(f"hf://{rest} names no commit: a branch or a tag can move")
    hub: Any = import_module("huggingface_hub")
    for name in FILES:
        hub.hf_hub_download(repository, name, revision=commit, local_dir=staging)


def from_s3(rest: str, digest: str, staging: Path) -> None:
    """`bucket/folder`, with the versions by their digests below; the pod's identity or AWS_* variables sign."""
    bucket, _, folder = without_digest(rest).partition("/")
    client: Any = import_module("boto3").client("s3")
    for name in FILES:
        client.download_file(bucket, f"{folder}/{digest}/{name}", str(staging / name))


def from_gs(rest: str, digest: str, staging: Path) -> None:
    """The same in Google Cloud Storage, by the pod's identity."""
    bucket, _, folder = without_digest(rest).partition("/")
    storage: Any = import_module("google.cloud.storage")
    place_of = storage.Client().bucket(bucket)
    for name in FILES:
        place_of.blob(f"{folder}/{digest}/{name}").download_to_filename(str(staging / name))


def from_web(rest: str, _digest: str, staging: Path) -> None:
    """A folder that a web server gives out. In the clear only from this machine: what is changed on the way would be
    noticed, what is read would not."""
    host = rest.partition("/")[0].partition(":")[0]
    scheme = "http" if host in ("127.0.0.1", "localhost") else "https"
    for name in FILES:
        download(f"{scheme}://{without_digest(rest)}/{name}", staging / name)


def without_digest(rest: str) -> str:
    return re.sub(r"@sha256:[0-9a-f]{64}$", "", rest)


def download(url: str, path: Path) -> None:
    """One file; an answer that ends early is an error, never a short file."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer, path.open("wb") as file:  # noqa: S310 see from_web
            announced = answer.headers.get("Content-Length")
            shutil.copyfileobj(answer, file, CHUNK)
            written = file.tell()
    except urllib.error.HTTPError as error:
        if error.code in (401, 403, 404, 410):
            raise WrongAdapterError(f"{url} answers {error.code}") from None
        raise
    if announced is not None and written != int(announced):
        raise OSError(f"{url} ended after {written} of {announced} bytes")


def say(text: str) -> None:
    """To the container's log, one line each."""
    print(f"fetch-adapters: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
