"""The artifact's files: which may be there, which are the payload, and the payload's digest.

The digest is the SHA-256 of the very text that `sha256sum` prints for the payload's files, sorted by path in the C
locale. Anybody recomputes it, in the artifact's folder:

    find . -type f ! -path ./manifest.json ! -path ./README.md ! -path './report/*' |
        sed 's|^./||' | LC_ALL=C sort | tr '\\n' '\\0' | xargs -0 sha256sum -- | sha256sum

which for a published adapter is `sha256sum adapter_config.json adapter_model.safetensors | sha256sum`.
`README.md` and `report/` are outside of the digest, so words and plots may be mended after publishing; a signature
(`takeover adapter sign`) covers them too.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from takeover.adapter._config import CONFIG, WEIGHTS
from takeover.adapter._manifest import MANIFEST
from takeover.errors import Refusals, Refused
from takeover.folders import digest_text, sha256_of, sha256_of_text, walk

__all__ = [
    "README", "REPORT", "digest_of", "hashes_of", "layout_mistakes", "payload_files", "report_files", "report_mistakes",
]  # fmt: skip

README = "README.md"
REPORT = "report"
_PAYLOAD = (CONFIG, WEIGHTS)
_PICKLES = {".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"}
_REPORT_SUFFIXES = {".csv", ".json", ".jsonl", ".md", ".png", ".sig", ".svg", ".txt", ".yaml"}


def payload_files(path: Path) -> tuple[str, ...]:
    """The payload's paths, relative and in the digest's order. Refusals for links and special files anywhere."""
    entries = list(walk(path))
    Refusals.raise_if_any(str(path), (wrong for name, facts in entries for wrong in _kind_mistakes(path, name, facts)))
    names = [name for name, facts in entries if stat.S_ISREG(facts.st_mode) and not _outside_payload(name)]
    return tuple(sorted(names, key=os.fsencode))


def digest_of(path: Path | str) -> str:
    """`sha256:<hex>` of the payload in the folder `path`, whatever files it consists of.

    Refused for a file name that sha256sum would escape; Refusals for links and special files.
    """
    folder = Path(path)
    return sha256_of_text(digest_text(hashes_of(folder, payload_files(folder))))


def hashes_of(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Each file's SHA-256 in hex."""
    return {name: sha256_of(folder / name) for name in names}


def layout_mistakes(path: Path) -> Iterator[Refused]:
    """Everything in the folder that may not be there, and everything that must be and is not."""
    found: set[str] = set()
    for name, facts in sorted(walk(path), key=lambda entry: os.fsencode(entry[0])):
        found.add(name)
        wrong = list(_kind_mistakes(path, name, facts))
        yield from wrong or _place_mistakes(path, name, facts)
    for name in (MANIFEST, *_PAYLOAD):
        if name not in found:
            yield Refused(
                "this file is missing",
                why="An adapter is PEFT's two files and their manifest.",
                fix="Restore the whole folder from where it was published.",
                where=f"{path}/{name}",
            )


def report_mistakes(report: Path) -> Iterator[Refused]:
    """What in a trainer's report folder may not be published."""
    for name, facts in sorted(walk(report), key=lambda entry: os.fsencode(entry[0])):
        inside = f"{REPORT}/{name}"
        wrong = list(_kind_mistakes(report, name, facts))
        yield from wrong or _place_mistakes(report, inside, facts)


def report_files(path: Path) -> tuple[str, ...]:
    """The files of an artifact's report, as `report/curves.png`, sorted."""
    report = path / REPORT
    entries = walk(report) if report.is_dir() else ()
    return tuple(sorted(f"{REPORT}/{name}" for name, facts in entries if stat.S_ISREG(facts.st_mode)))


def _outside_payload(name: str) -> bool:
    return name in (MANIFEST, README) or name.startswith(f"{REPORT}/")


def _kind_mistakes(path: Path, name: str, facts: os.stat_result) -> Iterator[Refused]:
    where = f"{path}/{name}"
    if stat.S_ISLNK(facts.st_mode):
        yield Refused(
            "this is a symbolic link",
            why="It may lead out of the folder, and what it leads to can change unnoticed.",
            fix="Put the file itself in its place.",
            where=where,
        )
    elif not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)):
        yield Refused("this is neither a file nor a folder", fix="Remove it.", where=where)


def _place_mistakes(path: Path, name: str, facts: os.stat_result) -> Iterator[Refused]:
    where = f"{path}/{name}"
    pure = PurePosixPath(name)
    if stat.S_ISDIR(facts.st_mode):
        if pure.parts[0] != REPORT:
            yield Refused(f"there is no such folder in an adapter: only {REPORT}/", fix="Remove it.", where=where)
    elif pure.suffix.lower() in _PICKLES:
        yield Refused(
            "this is a pickle by its name",
            why="Loading a pickle runs whatever code is in it; weights are published as safetensors only.",
            fix="Remove it.",
            where=where,
        )
    elif pure.parts[0] == REPORT and len(pure.parts) > 1:
        if pure.suffix.lower() not in _REPORT_SUFFIXES:
            kinds = ", ".join(sorted(_REPORT_SUFFIXES))
            yield Refused(f"a report holds only {kinds}", fix="Remove it, or save it as one of these.", where=where)
    elif name not in (MANIFEST, README, *_PAYLOAD):
        yield Refused(
            "this file does not belong to an adapter",
            why=f"Allowed are {', '.join(_PAYLOAD)}, {MANIFEST}, {README} and {REPORT}/.",
            fix="Remove it.",
            where=where,
        )
