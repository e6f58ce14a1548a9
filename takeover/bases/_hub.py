"""Bases on the Hugging Face Hub, at one commit: safetensors and text only, in the Hub's own cache."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from takeover.bases import BaseRef, cache_dir
from takeover.bases._cached import Say
from takeover.errors import Refused, TakeoverError
from takeover.folders import full_disk_refused
from takeover.hub_client import explained, hub_endpoint, hub_token

__all__ = ["BASE_FILES", "has_weights", "materialise_hub"]

# Never a pickle and never code: what is served for others is only ever data.
BASE_FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
# Subfolders hold other formats; Mistral's models hold their weights a second time under this name.
_LEFT_OUT = ["*/*", "consolidated*.safetensors"]


def materialise_hub(ref: BaseRef, say: Say) -> tuple[Path, str]:
    """The snapshot's folder and the commit. Downloaded once, and checked then against the Hub's hashes.

    What was downloaded needs no network any more. Refused: no such model or commit, no safetensors in it, no network;
    AuthError: gated or private.
    """
    commit = str(ref.revision)
    seal = cache_dir() / "bases" / f"hub-{ref.name.replace('/', '--')}-{commit}.json"
    known = _sealed(seal)
    if known is not None:
        return known, commit
    say(f"downloading {ref} from the Hub")
    folder = _download(ref, commit)
    if not has_weights(folder):
        raise Refused(
            f"{ref} holds no weights as safetensors",
            why="Weights that are pickles (.bin) run code when they are loaded, so they are not.",
            fix="Choose a base, or a commit of this one, that has *.safetensors.",
        )
    damaged = [path.name for path in sorted(folder.rglob("*")) if path.is_file() and not _is_as_named(path.resolve())]
    if damaged:
        raise Refused(
            f"{ref} arrived damaged: {', '.join(damaged)}",
            why="The SHA-256 of what was downloaded is not the one the Hub gives.",
            fix=f"Remove {folder.parents[1]} and run the same command again.",
        )
    _write_seal(seal, folder)
    return folder, commit


def has_weights(folder: Path) -> bool:
    """Whether config and all shards of the weights are there."""
    index = folder / "model.safetensors.index.json"
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()) if index.exists() else set()
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False
    all_there = all((folder / str(shard)).is_file() for shard in shards)
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors")) and all_there


def _sealed(seal: Path) -> Path | None:
    """The folder that was complete when it was sealed, if each file still has its size."""
    try:
        known = json.loads(seal.read_text(encoding="utf-8"))
        folder = Path(known["folder"])
        return folder if {name: (folder / name).stat().st_size for name in known["sizes"]} == known["sizes"] else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _write_seal(seal: Path, folder: Path) -> None:
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    with full_disk_refused(seal):
        seal.parent.mkdir(parents=True, exist_ok=True)
        new = seal.with_name(f"{seal.name}.{os.getpid()}")
        new.write_text(json.dumps({"folder": str(folder), "sizes": sizes}, indent=2), encoding="utf-8")
        new.replace(seal)


def _is_as_named(blob: Path) -> bool:
    """The Hub's cache names a large file by its SHA-256 (a small one by git's hash, which is left alone)."""
    if not re.fullmatch(r"[0-9a-f]{64}", blob.name):
        return True
    with blob.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == blob.name


def _download(ref: BaseRef, commit: str) -> Path:
    from huggingface_hub import constants, snapshot_download

    try:
        with full_disk_refused(Path(constants.HF_HUB_CACHE)):
            folder = snapshot_download(
                ref.name,
                revision=commit,
                allow_patterns=list(BASE_FILES),
                ignore_patterns=_LEFT_OUT,
                endpoint=hub_endpoint(),
                token=hub_token() or False,
            )
            return Path(folder)
    except TakeoverError:
        raise
    except Exception as error:  # the Hub's client raises a dozen kinds, httpx's among them
        raise _explained(ref, error) from error


def _explained(ref: BaseRef, error: Exception) -> TakeoverError:
    return explained(error, ref.name, str(ref), "model") or Refused(
        f"{ref} could not be downloaded",
        why=f"The Hub's client said: {type(error).__name__}.",
        fix="Check the network (and HF_ENDPOINT, HF_HUB_OFFLINE), then run the same command again.",
    )
