"""The project's folder and the environment in which the engine works on it."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from takeover.errors import Refused
from takeover.folders import full_disk_refused
from takeover.home import home_dir, project_root

__all__ = ["Project", "open_project", "stack_file", "stack_names"]

_PASSPHRASE_VARIABLES = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


class Project:
    """The folder with Pulumi.yaml, its name, and where what is not committed lives."""

    def __init__(self, root: Path, name: str, home: Path) -> None:
        self.root = root
        self.name = name
        self.home = home

    def engine_env(self, binary: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """What the engine needs on top of `environ`; the user's own backend and passphrase stay as they are.

        Without PULUMI_BACKEND_URL the state is a file backend in the project's home, and its passphrase is made once.
        Makes the folders and the passphrase where absent. Holds the passphrase's file, never the passphrase.
        """
        env = {
            "PATH": os.pathsep.join((str(binary.parent), str(Path(sys.executable).parent), environ.get("PATH", ""))),
            "TAKEOVER_HOME": str(self.home),
            # Our provider's process is the Python that drives the engine, with the same packages.
            "TAKEOVER_PYTHON": environ.get("TAKEOVER_PYTHON") or sys.executable,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            # The salt that the state holds is used as it is, in place of a new one written into the stack file.
            "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
        }
        if environ.get("PULUMI_BACKEND_URL"):
            return env
        env["PULUMI_BACKEND_URL"] = f"file://{_folder(self.home / 'state')}"
        if not any(variable in environ for variable in _PASSPHRASE_VARIABLES):
            env["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(passphrase_file(self.home))
        return env

    def state_folder(self, environ: Mapping[str, str] = os.environ) -> Path | None:
        """The folder of a file backend, the user's or ours; None where the state is elsewhere."""
        url = environ.get("PULUMI_BACKEND_URL") or f"file://{self.home / 'state'}"
        if not url.startswith("file://"):
            return None
        path = url.removeprefix("file://").split("?")[0]
        return (self.root / Path(path).expanduser()).resolve()

    def scratch(self) -> Path:
        """Where copies for one operation of the engine are made."""
        return _folder(self.home / "engine")


def open_project(start: Path | None = None) -> Project:
    """The project of `start` (the current folder, else the clone); Refused where there is no Pulumi.yaml."""
    root = project_root(start)
    file = root / "Pulumi.yaml"
    try:
        text = file.read_text()
    except OSError as error:
        raise Refused(
            f"there is no Pulumi.yaml in {root} or above it",
            why="A stack belongs to a project.",
            fix="Go to the project's folder.",
        ) from error
    # The name alone is needed, and a whole YAML parser costs more than the rest of this file.
    name = re.search(r"^name:[ \t]*[\"']?([\w.-]+)", text, re.MULTILINE)
    if name is None:
        raise Refused("it names no project", fix="Add a line such as `name: takeover`.", where=str(file))
    home = home_dir() if start is None or os.environ.get("TAKEOVER_HOME") else _folder(root / ".takeover")
    return Project(root, name[1], home)


def stack_file(root: Path, stack: str) -> Path:
    """Where the engine looks for a stack's settings: `org/project/dev` and `dev` share `Pulumi.dev.yaml`."""
    return root / f"Pulumi.{stack.rpartition('/')[2]}.yaml"


def stack_names(root: Path) -> list[str]:
    """The stacks that have a settings file here."""
    return sorted(path.name.split(".", 1)[1].removesuffix(".yaml") for path in root.glob("Pulumi.*.yaml"))


def passphrase_file(home: Path) -> Path:
    """The file with the passphrase that encrypts secrets in our own state; made once, with mode 600, never printed."""
    path = home / "passphrase"
    if path.exists():
        return path
    with full_disk_refused(path):
        new = home / f".passphrase.{os.getpid()}"
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(32))
        # A link fails where a process beside this one was first: its passphrase stands.
        with suppress(FileExistsError):
            os.link(new, path)
        new.unlink()
    return path


def _folder(path: Path) -> Path:
    with full_disk_refused(path):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
    return path
