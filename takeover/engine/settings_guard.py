"""Keeps the engine's notes out of the stacks' tracked settings files when its own CLI runs on them.

Each operation writes the salt of its secrets provider into `Pulumi.<stack>.yaml` (pkg/cmd/pulumi/stack/secrets.go,
v3.274.1). The state holds the same salt, and PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER makes the engine read it there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["guarded_settings", "without_salt"]

_SALT = re.compile(r"^encryptionsalt:.*\n?", re.MULTILINE)
_CHOSEN = re.compile(r"^(encryptionsalt|secretsprovider|encryptedkey):", re.MULTILINE)
_SECRET = re.compile(r"^[\s-]*[\"']?secure[\"']?:", re.MULTILINE)


def without_salt(before: str | None, after: str) -> str | None:
    """What the settings file should hold when it held `before` (None: it was not there) and the engine left `after`.

    A salt that was there, or that a secret in the file needs (`config set --secret`), stays. None: no file.
    """
    if _CHOSEN.search(before or "") or _SECRET.search(after) or not _SALT.search(after):
        return after
    bare = _SALT.sub("", after)
    if _load(bare) == _load(before or ""):
        return before
    return bare


def _load(text: str) -> object:
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(text) or {}


@contextmanager
def guarded_settings(root: Path) -> Iterator[None]:
    """After the block, take the salt out of the settings files of `root` that had none before it."""
    before = {path: path.read_text() for path in _files(root)}
    try:
        yield
    finally:
        for path in _files(root):
            after = path.read_text()
            wanted = without_salt(before.get(path), after)
            if wanted is None:
                path.unlink()
            elif wanted != after:
                new = path.with_name(f".{path.name}.{os.getpid()}")
                new.write_text(wanted)
                new.chmod(path.stat().st_mode)
                new.replace(path)


def _files(root: Path) -> list[Path]:
    return [path for path in root.glob("Pulumi.*.yaml") if path.is_file()]
