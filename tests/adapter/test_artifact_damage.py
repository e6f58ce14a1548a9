"""Whatever is done to an artifact's files by accident or by hand is refused, and the file is named."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from fakes.artifacts import make_adapter
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from takeover.adapter import Adapter, open_adapter
from takeover.errors import Refusals

CHECKED = ("adapter_config.json", "adapter_model.safetensors", "manifest.json")
UNCHECKED = ("README.md", "report/curves.md")
_quick = settings(max_examples=100, deadline=None)


@cache
def original() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="takeover-test-"))
    (folder / "report").mkdir()
    (folder / "report" / "curves.md").write_text("loss\n")
    return make_adapter(folder / "adapter", report=folder / "report").path


@pytest.fixture(autouse=True, scope="module")
def removed_afterwards() -> Iterator[None]:
    yield
    shutil.rmtree(original().parent)
    original.cache_clear()


@contextmanager
def copy() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="takeover-test-") as folder:
        yield Path(shutil.copytree(original(), Path(folder) / "adapter"))


def named(folder: Path) -> set[str]:
    """The files that opening the folder complains about."""
    with pytest.raises(Refusals) as refused:
        open_adapter(folder)
    return {str(Path(mistake.where).relative_to(folder)) for mistake in refused.value.mistakes}


def test_the_original_opens() -> None:
    assert isinstance(open_adapter(original()), Adapter)


@_quick
@given(name=st.sampled_from(CHECKED), place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_flipped_byte(name: str, place: float, flip: int) -> None:
    with copy() as folder:
        data = bytearray((folder / name).read_bytes())
        data[int(place * len(data))] ^= flip
        (folder / name).write_bytes(data)
        assert named(folder) == {name}


@pytest.mark.parametrize("name", CHECKED)
def test_a_flipped_bit_in_each_byte_of_the_text_files_and_of_the_header(name: str) -> None:
    with copy() as folder:
        whole = (folder / name).read_bytes()
        for place in range(min(len(whole), 1500)):
            data = bytearray(whole)
            data[place] ^= 1 << place % 8
            (folder / name).write_bytes(data)
            assert named(folder) == {name}, place


@_quick
@given(name=st.sampled_from(CHECKED), keep=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_off(name: str, keep: float) -> None:
    with copy() as folder:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(keep * len(data))])
        assert named(folder) == {name}


@_quick
@given(name=st.sampled_from(CHECKED), more=st.binary(min_size=1, max_size=20))
def test_a_file_made_longer(name: str, more: bytes) -> None:
    with copy() as folder:
        with (folder / name).open("ab") as file:
            file.write(more)
        assert named(folder) == {name}


@pytest.mark.parametrize("name", CHECKED)
def test_a_removed_file(name: str) -> None:
    with copy() as folder:
        (folder / name).unlink()
        assert named(folder) == {name}


_letters = st.characters(exclude_characters="/\0", exclude_categories=["Cs"])
_names = st.text(_letters, min_size=1, max_size=30).filter(lambda name: name not in (".", ".."))


@_quick
@given(name=_names, inside=st.sampled_from(["", "report/"]))
def test_an_added_file_of_any_name(name: str, inside: str) -> None:
    allowed = (".csv", ".json", ".jsonl", ".md", ".png", ".sig", ".svg", ".txt", ".yaml")
    assume(len(name.encode()) < 200 and not Path(name).suffix.lower().endswith(allowed))
    with copy() as folder:
        added = folder / f"{inside}{name}"
        assume(not added.exists())
        added.write_text("x")
        assert named(folder) == {f"{inside}{name}"}


@_quick
@given(old=st.sampled_from(CHECKED), new=_names)
def test_a_renamed_file(old: str, new: str) -> None:
    assume(len(new.encode()) < 200)
    with copy() as folder:
        assume(not (folder / new).exists())
        (folder / old).rename(folder / new)
        assert named(folder) == {old, new}


@pytest.mark.parametrize("name", [*CHECKED, *UNCHECKED, "report"])
@pytest.mark.parametrize("kind", ["out of the folder", "within the folder", "to nothing"])
def test_a_symbolic_link_in_place_of_anything(name: str, kind: str) -> None:
    with copy() as folder:
        elsewhere = folder.parent / "elsewhere"
        (folder / name).rename(elsewhere)
        target = {"out of the folder": elsewhere, "within the folder": folder / "README.md", "to nothing": Path("no")}
        (folder / name).symlink_to(target[kind])
        assert name in named(folder)


@pytest.mark.parametrize("name", ["weights.bin", "adapter_model.pt", "report/training_args.bin", "report/x.PKL"])
def test_a_pickle_anywhere(name: str) -> None:
    with copy() as folder:
        (folder / name).write_bytes(b"\x80\x04N.")
        with pytest.raises(Refusals, match="this is a pickle by its name"):
            open_adapter(folder)


@pytest.mark.parametrize("name", ["extra", "report/pipe"])
def test_a_special_file(name: str) -> None:
    import os

    with copy() as folder:
        os.mkfifo(folder / name)
        assert named(folder) == {name}


@pytest.mark.parametrize("name", UNCHECKED)
def test_other_words_in_readme_and_report_are_not_noticed_by_design(name: str) -> None:
    with copy() as folder:
        (folder / name).write_text("other words")
        assert open_adapter(folder).digest == open_adapter(original()).digest
