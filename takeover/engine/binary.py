"""Where the `pulumi` binary comes from: PATH, the cache, the SDK's installer, a build from the Go module registry.

The cache is `<cache>/engine/v<version>/`, outside the clone, so that every clone of a machine shares one engine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from takeover.bases import cache_dir
from takeover.errors import Refused

__all__ = [
    "MINIMUM",
    "Engine",
    "EngineMissing",
    "Version",
    "WayFailed",
    "engine_cache",
    "find",
    "find_or_install",
    "install",
    "parse_version",
    "pinned_version",
]

Version = tuple[int, int, int]
Say = Callable[[str], None]

# The release that the Python SDK of pyproject.toml came with (2026-10); its installer brings the same or a later one.
MINIMUM: Version = (3, 272, 0)
GO_MOD = Path(__file__).parents[2] / "tools" / "engine" / "go.mod"
_MODULE = "github.com/pulumi/pulumi/pkg/v3"


class EngineMissing(Refused):
    """No engine is here and none could be had; `why` holds the reason of each way tried."""


class WayFailed(Exception):
    """One way to an engine led nowhere; its text says why."""


@dataclass(frozen=True)
class Engine:
    """A usable `pulumi` binary; `origin` is `PATH` or `cache`."""

    path: Path
    version: Version
    origin: str

    def __str__(self) -> str:
        return f"pulumi {text_of(self.version)} ({self.path})"


def parse_version(text: str) -> Version | None:
    """The version in what `pulumi version` prints, or in a folder's name; None where there is none."""
    match = re.search(r"\bv?(\d+)\.(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def text_of(version: Version) -> str:
    return "v{}.{}.{}".format(*version)


def pinned_version(go_mod: str) -> Version | None:
    """The engine's version that the text of tools/engine/go.mod requires."""
    line = re.search(rf"^\s*{re.escape(_MODULE)} (v\S+)", go_mod, re.MULTILINE)
    return parse_version(line[1]) if line else None


def engine_cache() -> Path:
    return cache_dir() / "engine"


def find(reasons: list[str] | None = None) -> Engine | None:
    """The engine of this machine, None when there is none yet; `reasons` is told why. Downloads and builds nothing."""
    told = reasons if reasons is not None else []
    found = _on_path(told) or _in_cache()
    if found is None:
        told.append(f"cache: no {text_of(MINIMUM)} or later in {engine_cache()}")
    return found


def find_or_install(say: Say = lambda _: None) -> Path:
    """The engine's binary, got in the first way that works; may take minutes, and `say` hears what it does meanwhile.

    Raises EngineMissing (a Refused) with the reason of every way tried.
    """
    return install(say).path


def install(say: Say = lambda _: None) -> Engine:
    """As `find_or_install`, with the version. Two at once: one installs, the other waits and takes the same."""
    reasons: list[str] = []
    found = find(reasons)
    if found:
        return found
    from takeover.engine import _install

    with _install.one_at_a_time(engine_cache(), say):
        found = _in_cache()
        for way in () if found else _install.WAYS:
            try:
                way(engine_cache(), say)
            except WayFailed as failure:
                reasons.append(str(failure))
                say(str(failure))
                continue
            found = _in_cache()
            if found:
                break
    if found is None:
        raise missing(reasons)
    return found


def missing(reasons: list[str]) -> EngineMissing:
    """The refusal that names each way and why it failed, and how to go on without an engine."""
    return EngineMissing(
        "no Pulumi engine can be had on this machine",
        why="\n  ".join(reasons),
        fix="Install Pulumi (https://www.pulumi.com/docs/install/) or Go and type `takeover engine install`, or go on "
        "without state, preview and refresh: takeover deploy --provider local --adapter DIR --outputs FILE.",
    )


def _on_path(reasons: list[str]) -> Engine | None:
    path = shutil.which("pulumi")
    if path is None:
        reasons.append("PATH: there is no pulumi on it")
        return None
    try:
        printed = _printed_version(Path(path))
    except (OSError, subprocess.SubprocessError) as error:
        reasons.append(f"PATH: {path} does not run ({type(error).__name__})")
        return None
    version = parse_version(printed)
    if version is None or version < MINIMUM:
        reasons.append(f"PATH: {path} is {printed.strip() or 'of no version'}, {text_of(MINIMUM)} or later is needed")
        return None
    return Engine(Path(path), version, "PATH")


def _printed_version(path: Path) -> str:
    """What `pulumi version` prints, asked once for each binary: it costs a tenth of a second in every command."""
    facts = path.stat()
    mark = f"{path.resolve()} {facts.st_size} {facts.st_mtime_ns}"
    memory = engine_cache() / "path-version"
    with suppress(OSError, ValueError):
        known, printed = memory.read_text().split("\n", 1)
        if known == mark:
            return printed
    env = os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    asked = subprocess.run([path, "version"], capture_output=True, text=True, timeout=20, check=True, env=env)
    with suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(f"{mark}\n{asked.stdout}")
    return asked.stdout


def _in_cache() -> Engine | None:
    return max(_cached(), key=lambda engine: engine.version, default=None)


def _cached() -> Iterator[Engine]:
    """What our own build (`v3.x.y/pulumi`) and the SDK's installer (`v3.x.y/bin/pulumi`) left in the cache."""
    for folder in engine_cache().glob("v*"):
        version = parse_version(folder.name)
        for path in (folder / "pulumi", folder / "bin" / "pulumi"):
            if version and version >= MINIMUM and os.access(path, os.X_OK):
                yield Engine(path, version, "cache")
