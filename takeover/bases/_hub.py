"""Bases on the Hugging Face Hub, at one commit: safetensors and text only, in the Hub's own cache."""

from __future__ import annotations

import os
from pathlib import Path

from takeover.bases import BaseRef
from takeover.bases._cached import Say
from takeover.errors import AuthError, Refused, TakeoverError
from takeover.folders import full_disk_refused

__all__ = ["materialise_hub"]

# Never a pickle and never code: `trust_remote_code` is not for weights that serve production traffic.
_FILES = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "LICENSE*"]


def materialise_hub(ref: BaseRef, say: Say) -> tuple[Path, str]:
    """The snapshot's folder and the commit. What is in the Hub's cache already needs no network.

    Refused: no such model or commit, no safetensors in it, no network; AuthError: gated or private.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    commit = str(ref.revision)
    try:
        folder = Path(snapshot_download(ref.name, revision=commit, allow_patterns=_FILES, local_files_only=True))
        if _has_weights(folder):
            return folder, commit
    except LocalEntryNotFoundError:
        pass
    say(f"downloading {ref} from the Hub")
    folder = _download(ref, commit)
    if not _has_weights(folder):
        raise Refused(
            f"{ref} holds no weights as safetensors",
            why="Weights that are pickles (.bin) run code when they are loaded, so they are not.",
            fix="Choose a base, or a commit of this one, that has *.safetensors.",
        )
    return folder, commit


def _has_weights(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def _download(ref: BaseRef, commit: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        with full_disk_refused(Path(ref.name)):
            found = snapshot_download(
                ref.name, revision=commit, allow_patterns=_FILES, endpoint=os.environ.get("HF_ENDPOINT")
            )
    except TakeoverError:
        raise
    except Exception as error:  # the Hub's client raises a dozen kinds, httpx's among them
        raise _explained(ref, error) from error
    return Path(found)


def _explained(ref: BaseRef, error: Exception) -> TakeoverError:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return AuthError(
            f"{ref} is gated",
            fix=f"Accept its terms at https://huggingface.co/{ref.name}, then `hf auth login` or set HF_TOKEN.",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return Refused(f"{ref}: there is no such commit", fix=f"See https://huggingface.co/{ref.name}/commits/main.")
    if isinstance(error, errors.RepositoryNotFoundError):
        return Refused(
            f"{ref}: there is no such model, or it is private",
            fix="Check the name; for a private model `hf auth login` or set HF_TOKEN.",
        )
    return Refused(
        f"{ref} could not be downloaded",
        why=f"The Hub's client said: {type(error).__name__}.",
        fix="Check the network (and HF_ENDPOINT, HF_HUB_OFFLINE), then run the same command again.",
    )
