"""The programs of the control plane, built once from pinned Go modules into the cache.

`python tests/cluster/cluster_binaries.py [control-plane|keda|prometheus ...]` builds what is missing, one core, at the
lowest priority: about 5 minutes for the control plane, as much for KEDA. Each program comes by one rename, so a killed
build leaves none that is broken, and the next one goes on from Go's own cache. Another go.mod is another folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from takeover.bases import cache_dir

__all__ = ["SETS", "Missing", "ProgramSet", "build", "module_folder", "program"]

Say = Callable[[str], None]
TOOLS = Path(__file__).parents[2] / "tools"
LIMIT_S = 3600
# The API server tells this to every client; without it the version would be v0.0.0.
_KUBERNETES_VERSION = " ".join(
    f"-X k8s.io/component-base/version.{name}={value}"
    for name, value in (("gitVersion", "v1.36.3"), ("gitMajor", "1"), ("gitMinor", "36"))
)


class Missing(Exception):
    """A program that is not in the cache; the text says how it gets there."""


@dataclass(frozen=True)
class ProgramSet:
    """Programs that come together: name -> Go package, out of tools/<name>/go.mod; none of a Debian package."""

    name: str
    packages: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """Where they lie: named by what go.mod and go.sum pin."""
        pinned = b"".join((TOOLS / self.name / file).read_bytes() for file in ("go.mod", "go.sum"))
        return cache_dir() / self.name / hashlib.sha256(pinned).hexdigest()[:12]


CONTROL_PLANE = ProgramSet(
    "control-plane",
    {
        "etcd": "go.etcd.io/etcd/server/v3",
        "kwok": "sigs.k8s.io/kwok/cmd/kwok",
        "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
        "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
        "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    },
)
KEDA = ProgramSet(
    "keda",
    {
        "keda-operator": "github.com/kedacore/keda/v2/cmd/operator",
        "keda-adapter": "github.com/kedacore/keda/v2/cmd/adapter",
    },
)
# Prometheus is a Debian package (2.42); its Go module would drag the SDKs of all clouds along.
PROMETHEUS = "prometheus"
SETS: Mapping[str, ProgramSet] = {each.name: each for each in (CONTROL_PLANE, KEDA)}


def program(name: str) -> Path:
    """The program `name` in the cache; Missing, with the command that builds it, where it is not there."""
    for each in SETS.values():
        if name in each.packages:
            return _present(each.folder / name, each.name)
    return _present(cache_dir() / PROMETHEUS / name, PROMETHEUS)


def _present(path: Path, wanted: str) -> Path:
    if not path.exists():
        raise Missing(
            f"{path.name} is not built: `make test-cluster`, or python tests/cluster/cluster_binaries.py {wanted}"
        )
    return path


def module_folder(program_set: ProgramSet, module: str) -> Path | None:
    """Where Go keeps the source of a module that the set requires (KEDA's holds its CRDs); None where there is none."""
    go = shutil.which("go")
    if go is None:
        return None
    command = [go, "list", "-m", "-f", "{{.Dir}}", module]
    found = subprocess.run(command, cwd=TOOLS / program_set.name, capture_output=True, text=True, timeout=60)
    return Path(found.stdout.strip()) if found.returncode == 0 and found.stdout.strip() else None


def build(names: Sequence[str], say: Say) -> None:
    """Build what is missing of the sets called `names`; raises Missing with the last words of what failed."""
    for name in names:
        if name == PROMETHEUS:
            _locked(cache_dir() / PROMETHEUS, say, _unpack_prometheus)
        else:
            each = SETS[name]
            _locked(each.folder, say, lambda folder, say, each=each: _build_set(each, folder, say))


def _locked(folder: Path, say: Say, make: Callable[[Path, Say], None]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        make(folder, say)


def _build_set(wanted: ProgramSet, folder: Path, say: Say) -> None:
    go = shutil.which("go")
    if go is None:
        raise Missing(f"there is no go on PATH to build {wanted.name} with (1.21 or later)")
    for name, package in wanted.packages.items():
        if (folder / name).exists():
            continue
        say(f"building {name}")
        with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as scratch:
            target = Path(scratch) / name
            flags = ["-buildvcs=false", "-p", "1", "-trimpath", "-ldflags", f"-s -w {_KUBERNETES_VERSION}"]
            command = ["nice", "-n", "19", go, "build", *flags, "-o", str(target), package]
            _run(name, command, TOOLS / wanted.name, say)
            target.rename(folder / name)


def _unpack_prometheus(folder: Path, say: Say) -> None:
    if (folder / "prometheus").exists():
        return
    say("fetching prometheus from Debian")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as scratch:
        _run("prometheus", ["apt-get", "download", "prometheus"], Path(scratch), say)
        (package,) = Path(scratch).glob("prometheus_*.deb")
        _run("prometheus", ["dpkg", "-x", str(package), "."], Path(scratch), say)
        (Path(scratch) / "usr/bin/prometheus").rename(folder / "prometheus")


def _run(what: str, command: list[str], cwd: Path, say: Say) -> None:
    """To the end, with a line every twenty seconds. It ends with us: its own session is killed on the way out."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as words:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, "GOFLAGS": "-mod=readonly"},
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while process.poll() is None and time.monotonic() - began < LIMIT_S:
                try:
                    process.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    say(f"{what}: {time.monotonic() - began:.0f} s so far")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
                process.wait()
        if process.returncode != 0:
            words.seek(0)
            last = [line for line in words.read().splitlines() if line.strip()][-5:]
            raise Missing(f"{what} could not be built: " + " / ".join(last))


def main(arguments: Sequence[str]) -> int:
    """Build the sets that are named, else all; with --is-built only say whether all is there (0), or not (1)."""
    try:
        if arguments == ["--is-built"]:
            for name in [*(name for each in SETS.values() for name in each.packages), PROMETHEUS]:
                program(name)
            return 0
        build(arguments or [*SETS, PROMETHEUS], lambda line: print(line, flush=True))
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
