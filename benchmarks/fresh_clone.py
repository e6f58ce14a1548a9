"""Time what a new user does: clone into an empty folder, `make demo`, again `make demo`, `make down`.

Prints one JSON line for each of the two demos (seconds, whole process) and fails when `git status` is not empty
afterwards. Caches (packages, engine, base) are those of this machine: run it twice to see a warm one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def timed(command: list[str], folder: Path) -> float:
    """Seconds of wall time; the command's output goes to stderr, so that stdout stays data."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    began = time.monotonic()
    subprocess.run(command, cwd=folder, env=environment, stdout=sys.stderr, check=True)
    return time.monotonic() - began


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="takeover-clone-") as scratch:
        clone = Path(scratch) / "takeover"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        try:
            for name in ("first make demo (s)", "second make demo (s)"):
                seconds = timed(["make", "demo"], clone)
                row = {"name": name, "ours": round(seconds, 1), "bare": None, "ratio": None, "command": "make demo"}
                print(json.dumps(row), flush=True)
            changed = subprocess.run(
                ["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True
            ).stdout
            if changed:
                sys.exit(f"make demo changed tracked files:\n{changed}")
        finally:
            timed(["make", "down"], clone)


if __name__ == "__main__":
    main()
