"""Opening an artifact: everything is verified, every time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from takeover.adapter._config import CONFIG, WEIGHTS, LoraConfig, config_base, parse_config, weight_mistakes
from takeover.adapter._json import parse_object, render
from takeover.adapter._manifest import MANIFEST, Manifest, parse_manifest
from takeover.adapter._payload import hashes_of, layout_mistakes
from takeover.errors import Refusals, Refused, collected
from takeover.safetensors_header import read_header

if TYPE_CHECKING:
    from takeover.providers._base import TrainedModel

__all__ = ["Adapter", "open_adapter"]


@dataclass(frozen=True)
class Adapter:
    """An artifact that was whole and consistent when it was opened."""

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def digest(self) -> str:
        """`sha256:<64 hex>` of the payload."""
        return self.manifest.digest

    @property
    def served_name(self) -> str:
        """`<name>@<first 12 hex of the digest>`: two versions never share it."""
        return f"{self.name}@{self.digest.removeprefix('sha256:')[:12]}"

    def trained_model(self) -> TrainedModel:
        """The adapter as providers deploy it."""
        from takeover.providers._base import TrainedModel

        return TrainedModel(
            name=self.name,
            digest=self.digest,
            served_name=self.served_name,
            path=str(self.path),
            base=self.manifest.base,
            rank=self.manifest.rank,
        )


def open_adapter(path: Path | str, *, digest: str | None = None) -> Adapter:
    """Open and verify the artifact in the folder `path`; with `digest`, it must be exactly that one.

    Every byte of manifest and payload is read: about 0.1 s for 30 MB. Refusals names every file that was changed, is
    missing, does not belong there, is a link, or disagrees with another. What is not noticed, by design: other words
    in README.md or in report/ (a signature covers these), and a forger who rewrites files and manifest together
    (pin the digest, or check the signature). The files are not locked: verify again after they may have changed.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise Refused(
            "there is no such folder",
            why="An adapter is a folder that `takeover train` writes.",
            fix="Check the path, or train it first.",
            where=str(path),
        )
    mistakes = list(layout_mistakes(folder))
    # A file that is missing or no plain file is named already, and nothing in such a folder is worth reading.
    Refusals.raise_if_any(f"the adapter {path} was refused", mistakes)
    manifest = collected(mistakes, lambda: parse_manifest((folder / MANIFEST).read_bytes(), f"{folder}/{MANIFEST}"))
    mistakes += _content_mistakes(folder, manifest)
    if manifest:
        mistakes += _other_digest(manifest, digest, f"{folder}/{MANIFEST}")
    Refusals.raise_if_any(f"the adapter {path} was refused", mistakes)
    assert manifest is not None
    return Adapter(folder.absolute(), manifest)


def _content_mistakes(folder: Path, manifest: Manifest | None) -> list[Refused]:
    """What is wrong with the payload; a file whose bytes were changed is named for that alone, the rest follows."""
    mistakes = list(_changed_files(folder, manifest)) if manifest else []
    changed = {Path(mistake.where).name for mistake in mistakes}
    config = None if CONFIG in changed else collected(mistakes, lambda: _read_config(folder))
    tensors = None if WEIGHTS in changed else collected(mistakes, lambda: read_header(folder / WEIGHTS))
    if config and tensors is not None:
        mistakes += weight_mistakes(tensors, config, f"{folder}/{WEIGHTS}")
    if config and manifest:
        mistakes += _disagreements(manifest, config, f"{folder}/{MANIFEST}")
    return mistakes


def _read_config(folder: Path) -> LoraConfig:
    where = f"{folder}/{CONFIG}"
    data = (folder / CONFIG).read_bytes()
    raw = parse_object(data, where)
    config = parse_config(raw, where)
    if data != render(raw).encode():
        raise Refused(
            "it is not written canonically",
            why="Equal configs must have equal bytes, else equal adapters have different digests.",
            fix="Write the adapter by `takeover train`, which sorts it.",
            where=where,
        )
    return config


def _changed_files(folder: Path, manifest: Manifest) -> Iterator[Refused]:
    found = hashes_of(folder, (CONFIG, WEIGHTS))
    for name in sorted(found.keys() | manifest.files.keys()):
        if name not in found:
            yield Refused(f"it lists {name!r}, which is no file of an adapter", where=f"{folder}/{MANIFEST}")
        elif name not in manifest.files:
            yield Refused("the manifest does not list this file", where=f"{folder}/{name}")
        elif found[name] != manifest.files[name]:
            yield Refused(
                "its bytes are not those that were published",
                why=f"Its SHA-256 is {found[name]}, the manifest says {manifest.files[name]}.",
                fix="Restore it from where it was published, or train again.",
                where=f"{folder}/{name}",
            )


def _disagreements(manifest: Manifest, config: LoraConfig, where: str) -> Iterator[Refused]:
    base, revision = config_base(manifest.base, manifest.base_revision)
    pairs = {
        "rank": (manifest.rank, config.rank),
        "alpha": (manifest.alpha, config.alpha),
        "targetModules": (manifest.target_modules, config.target_modules),
        "base": (base, config.base),
        "baseRevision": (revision, config.revision),
    }
    for key, (said, found) in pairs.items():
        if said != found:
            yield Refused(
                f"{key} is {said!r} here, but {found!r} in {CONFIG}",
                fix="The two files are not of one adapter; restore both, or train again.",
                where=where,
            )


def _other_digest(manifest: Manifest, wanted: str | None, where: str) -> Iterator[Refused]:
    if wanted is not None and wanted != manifest.digest:
        yield Refused(
            f"this adapter is {manifest.digest}, but {wanted} was asked for",
            why="The folder holds another version of the adapter.",
            fix="Put the version that was asked for there, or ask for this digest.",
            where=where,
        )
