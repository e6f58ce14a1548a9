"""A killed update's lock is told from a living one's."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from takeover.engine.locks import Lock, clear_dead, is_dead, is_held, parse_lock, process_start
from takeover.errors import Refused

SINCE = datetime(2026, 11, 24, 12, 0, 5, 123456, tzinfo=UTC).timestamp()


@dataclass(frozen=True)
class Written:
    id: str
    text: str
    lock: Lock | None


WRITTEN = (
    Written(
        "nanoseconds as Go writes them (engine v3.274.1, 2026-11-24)",
        '{"pid":15887,"username":"root","hostname":"vm","timestamp":"2026-11-24T12:00:05.123456789Z"}',
        Lock(15887, "root", "vm", SINCE),
    ),
    Written(
        "an offset, and fewer decimals",
        '{"pid":7,"username":"a","hostname":"b","timestamp":"2026-11-24T14:00:05.123456+02:00"}',
        Lock(7, "a", "b", SINCE),
    ),
    Written(
        "a whole second",
        '{"pid":7,"username":"a","hostname":"b","timestamp":"2026-11-24T12:00:05Z"}',
        Lock(7, "a", "b", SINCE - 0.123456),
    ),
    Written("cut off", '{"pid":15887,"userna', None),
    Written("empty", "", None),
    Written("of another shape", '{"pid":7}', None),
)


@pytest.mark.parametrize("case", WRITTEN, ids=lambda case: case.id)
def test_a_lock_file_is_read(case: Written) -> None:
    assert parse_lock(case.text) == case.lock


@dataclass(frozen=True)
class Life:
    id: str
    host: str
    started: float | None
    dead: bool


LIVES = (
    Life("no such process", "here", None, dead=True),
    Life("the process that made it", "here", SINCE - 1, dead=False),
    Life("a clock that differs a little", "here", SINCE + 0.5, dead=False),
    Life("the pid was given to a later process", "here", SINCE + 60, dead=True),
    Life("another host's process cannot be seen", "there", None, dead=False),
)


@pytest.mark.parametrize("case", LIVES, ids=lambda case: case.id)
def test_a_lock_is_dead_when_its_process_is_gone(case: Life) -> None:
    lock = Lock(15887, "root", "here", SINCE)
    assert (
        is_dead(lock, host="here" if case.host == "here" else "elsewhere", start_of=lambda _: case.started) is case.dead
    )


def write_lock(state: Path, pid: int, since: str) -> Path:
    folder = state / ".pulumi" / "locks" / "organization" / "takeover" / "dev"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{pid}.json"
    path.write_text(f'{{"pid":{pid},"username":"me","hostname":"{socket.gethostname()}","timestamp":"{since}"}}')
    path.with_name(path.name + ".attrs").write_text("{}")
    return path


def test_dead_locks_are_removed_with_what_lies_beside_them(tmp_path: Path) -> None:
    # This pid is alive, but it started long after the lock was made.
    path = write_lock(tmp_path, os.getpid(), "2001-01-01T00:00:00Z")
    assert not is_held(tmp_path, "takeover", "dev")
    assert [lock.pid for lock in clear_dead(tmp_path, "takeover", "dev")] == [os.getpid()]
    assert list(path.parent.iterdir()) == []


def test_a_living_update_is_refused_with_its_pid(tmp_path: Path) -> None:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    path = write_lock(tmp_path, os.getpid(), now)
    with pytest.raises(Refused, match=f"dev is running \\(pid {os.getpid()} of me on "):
        clear_dead(tmp_path, "takeover", "organization/takeover/dev")
    assert (path.exists(), is_held(tmp_path, "takeover", "dev")) == (True, True)


def test_a_stack_without_locks_is_free(tmp_path: Path) -> None:
    assert clear_dead(tmp_path, "takeover", "dev") == []


def test_the_start_of_this_process_is_known() -> None:
    started = process_start(os.getpid())
    assert started is not None
    assert started < datetime.now(UTC).timestamp()
