"""Bases become folders: made once, verified on every use, nothing half-made."""

from __future__ import annotations

import errno
import json
import os
import shutil
import struct
import threading
from collections import namedtuple
from pathlib import Path

import psutil
import pytest
from fakes.artifacts import TINY_REVISION, safetensors_bytes

from takeover.bases import parse_base
from takeover.bases._cached import cached_folder
from takeover.bases.materialise import LocalBase, materialise, require_memory, weight_bytes
from takeover.errors import Refused

Memory = namedtuple("Memory", "available")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TAKEOVER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_tiny_is_the_same_bytes_on_every_machine(own_cache: Path) -> None:
    ref = parse_base("tiny")
    base = materialise(ref)
    assert base == LocalBase(ref, own_cache / "bases" / "tiny-1", TINY_REVISION)
    assert listing(base.path) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "takeover-files.sha256",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert weight_bytes(base.path) == 4 * 362_112


@pytest.mark.parametrize("damage", ["a changed byte", "a missing file", "a file more", "no seal"])
def test_a_damaged_base_is_made_again_and_said_so(damage: str) -> None:
    said: list[str] = []
    folder = materialise(parse_base("tiny")).path
    config = folder / "config.json"
    {
        "a changed byte": lambda: config.write_text(config.read_text().replace("silu", "relu")),
        "a missing file": config.unlink,
        "a file more": lambda: (folder / "special_tokens_map.json").write_text("{}"),
        "no seal": (folder / "takeover-files.sha256").unlink,
    }[damage]()
    again = materialise(parse_base("tiny"), say=said.append)
    assert (again.revision, said) == (TINY_REVISION, [f"{folder} is damaged and is made again"])


def test_who_comes_second_waits_for_the_maker_and_says_so(tmp_path: Path) -> None:
    made: list[Path] = []
    said: list[str] = []
    making, waiting = threading.Event(), threading.Event()

    def make(folder: Path) -> None:
        made.append(folder)
        making.set()
        assert waiting.wait(timeout=10)
        (folder / "model").write_text("x")

    def hear(text: str) -> None:
        said.append(text)
        waiting.set()

    first = threading.Thread(target=cached_folder, args=(tmp_path / "base", make, print))
    first.start()
    assert making.wait(timeout=10)
    cached_folder(tmp_path / "base", make, hear)
    first.join(timeout=10)
    assert (len(made), said, listing(tmp_path / "base")) == (
        1,
        ["waiting for another process that makes or checks base"],
        ["model", "takeover-files.sha256"],
    )


def test_a_full_disk_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(Refused, match="no space left to write"):
        cached_folder(tmp_path / "base", make, print)
    assert listing(tmp_path) == ["base.lock"]


def test_a_folders_revision_is_that_of_the_files_that_make_a_model(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(materialise(parse_base("tiny")).path, tmp_path / "mine"))
    (folder / "notes.md").write_text("not part of it")
    (folder / "optimizer.bin").write_text("nor this")
    (folder / ".git").mkdir()
    first = materialise(parse_base(str(folder)))
    (folder / "generation_config.json").write_text("{}")
    second = materialise(parse_base(str(folder)))
    assert (str(first.ref), first.path, first.revision) == (f"folder:{folder}", folder, TINY_REVISION)
    assert second.revision not in (TINY_REVISION, "")


def test_a_folder_whose_files_are_links_like_a_hub_snapshot_has_the_same_revision(tmp_path: Path) -> None:
    original = materialise(parse_base("tiny")).path
    (tmp_path / "snapshot").mkdir()
    for file in original.iterdir():
        (tmp_path / "snapshot" / file.name).symlink_to(file)
    assert materialise(parse_base(f"folder:{tmp_path}/snapshot")).revision == TINY_REVISION


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "a shard", "everything", "a link's target"])
def test_a_folder_that_is_no_base_is_refused(tmp_path: Path, missing: str) -> None:
    folder = Path(shutil.copytree(materialise(parse_base("tiny")).path, tmp_path / "mine"))
    index = '{"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}'
    {
        "config.json": (folder / "config.json").unlink,
        "model.safetensors": (folder / "model.safetensors").unlink,
        "a shard": lambda: (folder / "model.safetensors.index.json").write_text(index),
        "everything": lambda: shutil.rmtree(folder),
        "a link's target": lambda: (folder / "extra.json").symlink_to(tmp_path / "nothing"),
    }[missing]()
    with pytest.raises(Refused, match=r"is no base|cannot be read"):
        materialise(parse_base(f"folder:{folder}"))


@pytest.mark.parametrize(
    ("dtype", "want"), [("auto", 4 * 20 + 2 * 6), ("float32", 4 * 26), ("bfloat16", 2 * 26), ("float16", 2 * 26)]
)
def test_weights_are_counted_in_the_type_that_they_are_loaded_as(tmp_path: Path, dtype: str, want: int) -> None:
    (tmp_path / "a.safetensors").write_bytes(safetensors_bytes({"x": (4, 5)}))
    half = safetensors_bytes({"y": (3,)}).replace(b'"F32"', b'"F16"').replace(b"[3]", b"[6]")
    (tmp_path / "b.safetensors").write_bytes(half)
    assert weight_bytes(tmp_path, dtype) == want


def test_a_base_that_does_not_fit_into_memory_is_refused_with_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 8_000_000_000
    header = json.dumps({"x": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    with (tmp_path / "a.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + size)  # a hole, which takes no room
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(9_200_000_000))
    require_memory(tmp_path, "float32")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(9_199_999_999))
    require_memory(tmp_path, "bfloat16")
    with pytest.raises(Refused) as refused:
        require_memory(tmp_path, "float32")
    assert refused.value.parts() == {
        "error": "Refused",
        "happened": "no memory for the base: it needs 9.2 GB as float32, 9.2 GB are free",
        "why": f"That is the size of the weights in {tmp_path} and 15% for what comes with them.",
        "fix": "Close other programs, choose a smaller base, or load it as bfloat16, which takes half of float32.",
        "where": "",
    }
