"""Where the project keeps what it runs: the engine's state, the local endpoints, their keys."""

from __future__ import annotations

import os
from pathlib import Path

from takeover.folders import full_disk_refused

__all__ = ["home_dir", "project_root"]

_CLONE = Path(__file__).parents[1]


def project_root(start: Path | None = None) -> Path:
    """The folder with Pulumi.yaml, from `start` (the current folder) upwards; else the clone, else `start`."""
    origin = (start or Path.cwd()).resolve()
    for folder in (origin, *origin.parents, _CLONE):
        if (folder / "Pulumi.yaml").is_file():
            return folder
    return origin


def home_dir() -> Path:
    """`$TAKEOVER_HOME`, else `.takeover/` in the project's root; made when absent, for its owner alone (mode 700)."""
    named = os.environ.get("TAKEOVER_HOME")
    home = Path(named).expanduser().resolve() if named else project_root() / ".takeover"
    with full_disk_refused(home):
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o700)
    return home
