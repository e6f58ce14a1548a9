"""A checkpoint counts when it is whole, and not when anything of it is missing, cut off or changed."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from training.checkpoints import Checkpoint, is_whole, newest_whole, remove_broken, seal
from training.progress import TerminalProgress

FILES = ("adapter_model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json")


def checkpoint(folder: Path, step: int, *, sealed: bool = True) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    for name in FILES:
        (path / name).write_bytes(f"{name} of step {step}".encode())
    (seal if sealed else Path.exists)(path)
    return path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink], ids=["cut off", "changed", "missing"])
@pytest.mark.parametrize("name", [*FILES, "complete.json"])
def test_damage_to_any_file_is_noticed(tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    path = checkpoint(tmp_path, 4)
    assert is_whole(path)
    damage(path / name)
    assert not is_whole(path)


def test_a_file_more_is_noticed(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, 4)
    (path / "more.bin").write_bytes(b"")
    assert not is_whole(path)


def test_the_newest_whole_one_is_found_and_the_broken_ones_are_removed(tmp_path: Path) -> None:
    older, newer = checkpoint(tmp_path, 8), checkpoint(tmp_path, 10)
    checkpoint(tmp_path, 12, sealed=False)
    cut(checkpoint(tmp_path, 100) / "optimizer.pt")
    (tmp_path / "checkpoint-last").mkdir()
    assert newest_whole(tmp_path) == Checkpoint(10, newer)
    assert remove_broken(tmp_path) == [12, 100]
    assert sorted(path.name for path in tmp_path.iterdir()) == [newer.name, older.name, "checkpoint-last"]


def test_where_there_is_none_nothing_is_found(tmp_path: Path) -> None:
    assert (newest_whole(tmp_path / "none"), remove_broken(tmp_path / "none")) == (None, [])


def test_an_empty_folder_with_an_empty_seal_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "complete.json").write_text("{}")
    assert not is_whole(tmp_path)


def heard(steps: int, times: list[float], *, terminal: bool) -> str:
    """What is printed of a run of so many steps, at these moments (seconds)."""
    clock = iter(times)
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)
    progress = TerminalProgress(console, clock=lambda: next(clock))
    progress.say("[not markup]")
    progress.started(1, steps)
    for step in range(2, steps + 1):
        progress.stepped(step, {"loss": 1.5, "rewards/margins": 0.25, "rewards/accuracies": 1.0, "epoch": 1})
    progress.ended()
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_without_a_terminal_a_line_comes_every_ten_seconds_and_at_the_end() -> None:
    assert heard(4, [0.0, 4.0, 12.0, 15.0], terminal=False).splitlines() == [
        "[not markup]",
        "step 3/4  loss 1.500  margin 0.250  accuracy 1.000  0:06 left",
        "step 4/4  loss 1.500  margin 0.250  accuracy 1.000  0:00 left",
    ]


def test_on_a_terminal_there_is_a_bar_with_loss_margin_and_the_time_left() -> None:
    shown = heard(2, [0.0, 90.0], terminal=True)
    assert "2/2 loss 1.500  margin 0.250  accuracy 1.000  0:00 left" in shown
