"""The adapter's files where the server finds them: a folder that both sides see.

```
<sharedPath>/<name>@<12 hex>/     a whole adapter, its digest verified after it was copied; all endpoints share it
<sharedPath>/.takeover/           who uses which of them (_vllm_record.py)
```
A server with VLLM_LORA_RESOLVER_CACHE_DIR on `<sharedPath>` and VLLM_PLUGINS=lora_filesystem_resolver (vLLM's own
plugins) loads an adapter that it lost in a restart at the first request for it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from takeover.adapter import open_adapter, payload_files
from takeover.errors import Refused
from takeover.folders import full_disk_refused, new_folder
from takeover.providers._base import TrainedModel
from takeover.providers._progress import progress

__all__ = ["SharedFolder", "require_pullable", "verified"]

_MANIFEST = "manifest.json"


def verified(model: TrainedModel) -> Path:
    """The adapter's own folder, opened and so verified by its digest; Refused when it is not what it is said to be."""
    return open_adapter(model.path, digest=model.digest).path


def require_pullable(model: TrainedModel, path: str) -> bool:
    """That the Hub's repository which a server will pull has this very adapter at its newest commit.

    A server cannot be told a commit, and takes the newest. False where `path` is one of the server's own: what lies
    there cannot be looked at from here. Refused when it is another adapter; AuthError and so on as the registry has it.
    """
    from takeover.registry import parse_address, pull, resolve

    if path.startswith(("/", "~")):
        return False
    newest = resolve(parse_address(f"hf://{path}@main"))
    pull(newest, digest=model.digest, say=lambda sentence: progress("put", sentence))
    return True


@dataclass(frozen=True)
class SharedFolder:
    """`here` is the folder as we see it, `there` as the server does."""

    here: Path
    there: str

    def path_there(self, name: str) -> str:
        return f"{self.there}/{name}"

    def put(self, model: TrainedModel, name: str) -> None:
        """Copy the adapter, whole or not at all, and verify the copy; what lies there already and is sound stays.

        A damaged copy is replaced: whoever loads it would serve something else under this name.
        """
        source, out = Path(model.path), self.here / name
        if _is_sound(out, model):
            return
        with full_disk_refused(out):
            _remove(out)
            with new_folder(out) as building:
                for file in (*payload_files(source), _MANIFEST):
                    target = building / file
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source / file, target)
        open_adapter(out, digest=model.digest)

    def remove(self, name: str) -> None:
        """What is gone already is a success."""
        _remove(self.here / name)


def _is_sound(out: Path, model: TrainedModel) -> bool:
    try:
        return out.is_dir() and bool(open_adapter(out, digest=model.digest))
    except Refused:
        return False


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
