"""What the two volumes hold: filled and verified once, when the image is built; only looked up at a start."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from takeover.adapter import open_adapter
from takeover.bases import parse_base
from takeover.bases.materialise import materialise
from takeover.errors import Refusals, Refused
from takeover.modal_contract import KEY_FILE, AdapterRef, adapter_folder

__all__ = ["adapter_paths", "base_folder", "fill", "read_key"]

_AGAIN = "Deploy again: `takeover up`, or `takeover deploy`, fills it anew."


def fill(base: str, adapters: Iterable[AdapterRef], *, store: Path, bases: Path, say: Callable[[str], None]) -> None:
    """Verify each adapter where it will be read, and fetch the base, unless it is there.

    Runs once for each content, in the vendor's build. Refusals names every adapter that did not arrive as it left.
    """
    mistakes: list[Refused] = []
    for adapter in adapters:
        try:
            open_adapter(store / adapter_folder(adapter.digest), digest=adapter.digest)
            say(f"{adapter.served_name} is verified")
        except Refused as error:
            mistakes.append(Refused(f"{adapter.served_name} did not arrive as it left", why=str(error)))
    Refusals.raise_if_any("the adapters in the volume", mistakes)
    local = materialise(parse_base(base), say=say)
    note = {"base": base, "path": os.path.relpath(local.path, bases), "revision": local.revision}
    _note_file(base, bases).parent.mkdir(parents=True, exist_ok=True)
    _note_file(base, bases).write_text(json.dumps(note), encoding="utf-8")
    say(f"{base} is ready in the volume")


def base_folder(base: str, bases: Path, *, volume: str) -> Path:
    """Where the base lies; Refused when the volume of that name does not hold it (any more)."""
    try:
        note = json.loads(_note_file(base, bases).read_text(encoding="utf-8"))
        folder = bases / str(note["path"])
    except (OSError, ValueError, KeyError):
        folder = None
    if folder is None or not (folder / "config.json").is_file():
        raise Refused(
            f"the volume {volume} does not hold the base {base}", why="It was emptied or deleted.", fix=_AGAIN
        )
    return folder


def adapter_paths(adapters: Iterable[AdapterRef], store: Path, *, volume: str) -> dict[str, Path]:
    """Served name -> folder; Refusals with every adapter that the volume does not hold (any more)."""
    paths = {adapter.served_name: store / adapter_folder(adapter.digest) for adapter in adapters}
    missing = [name for name, path in paths.items() if not (path / "adapter_config.json").is_file()]
    Refusals.raise_if_any(
        "the adapters in the volume",
        [Refused(f"the volume {volume} does not hold {name}", why="It was emptied.", fix=_AGAIN) for name in missing],
    )
    return paths


def read_key(store: Path, *, volume: str) -> str:
    """The endpoint's bearer key."""
    try:
        key = (store / KEY_FILE).read_text(encoding="utf-8").strip()
    except OSError:
        key = ""
    if not key:
        raise Refused(f"the volume {volume} does not hold the endpoint's key", why="It was emptied.", fix=_AGAIN)
    return key


def _note_file(base: str, bases: Path) -> Path:
    return bases / "ready" / f"{hashlib.sha256(base.encode()).hexdigest()[:16]}.json"
