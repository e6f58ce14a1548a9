"""An adapter as one archive, for an inference component: PEFT's two files at its root, the same bytes each time."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

from takeover.adapter import payload_files

__all__ = ["archive_bytes", "payload_paths"]


def payload_paths(folder: Path) -> dict[str, Path]:
    """What an instance needs of an adapter, by name: its payload, without reports and model card."""
    return {name: folder / name for name in payload_files(folder)}


def archive_bytes(folder: Path) -> bytes:
    """A .tar.gz without a folder in it, without times, owners and modes: another run gives the same bytes."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, filename="") as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, path in payload_paths(folder).items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = path.stat().st_size, 0o644, 0
            with path.open("rb") as file:
                archive.addfile(info, file)
    return packed.getvalue()
