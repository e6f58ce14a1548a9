"""The files that go into the containers on Modal, and their hash. Nothing else of the project is sent."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["APP_FILE", "ROOT", "source_files", "source_hash", "stage_source"]

ROOT = Path(__file__).parents[2]
APP_FILE = Path("serving/modal_app.py")

_FOLDERS = ("serving/container", "takeover/adapter", "takeover/bases")
_FILES = ("serving/__init__.py", "serving/local/__init__.py", "serving/local/guard.py")
# The rest of takeover/*.py goes along: what these import of it changes. These are for other machines.
_NOT_SENT = frozenset({"home.py", "naming.py", "outputs.py", "stackfile.py", "tiers.py"})


def source_files(root: Path = ROOT) -> Iterator[Path]:
    """Below `root`, in a fixed order: what a container imports, and the app's own file."""
    found = {root / name for name in (*_FILES, str(APP_FILE))}
    found |= {path for folder in _FOLDERS for path in (root / folder).rglob("*.py")}
    found |= {path for path in (root / "takeover").glob("*.py") if path.name not in _NOT_SENT}
    yield from sorted(path.relative_to(root) for path in found)


def source_hash(root: Path = ROOT) -> str:
    """64 hex digits over the names and contents of these files."""
    total = hashlib.sha256()
    for path in source_files(root):
        content = hashlib.sha256((root / path).read_bytes()).hexdigest()
        total.update(f"{content}  {path.as_posix()}\n".encode())
    return total.hexdigest()


def stage_source(root: Path = ROOT) -> Path:
    """A folder with copies of these files, for as long as this process lives: one folder is one layer of an image."""
    staged = Path(tempfile.mkdtemp(prefix="takeover-modal-"))
    atexit.register(shutil.rmtree, staged, ignore_errors=True)
    for path in source_files(root):
        target = staged / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / path, target)
    return staged
