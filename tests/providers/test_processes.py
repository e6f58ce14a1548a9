"""Processes that outlive who starts them, and strangers that are never mistaken for them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from takeover.providers._process import MARK, ProcessId, find, find_marked, server_environment, spawn, stop, tail

SLEEP = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)")
DEAF = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for process in find_marked(tmp_path):
        process.kill()


def started(command: tuple[str, ...], folder: Path) -> psutil.Process:
    """The process, once it says that it is up."""
    child = spawn(command, folder=folder, log=folder / "log", environment={})
    while "up" not in tail(folder / "log"):
        assert child.poll() is None
    return psutil.Process(child.pid)


def test_a_process_is_found_by_its_pid_its_start_time_and_its_folder(folder: Path) -> None:
    process = started(SLEEP, folder)
    assert find(ProcessId(process.pid, process.create_time()), folder) == process


def test_another_start_time_or_another_folder_is_another_process(folder: Path) -> None:
    process = started(SLEEP, folder)
    assert find(ProcessId(process.pid, process.create_time() - 60), folder) is None
    assert find(ProcessId(process.pid, process.create_time()), folder / "other") is None


def test_one_that_has_ended_is_not_found_even_as_a_zombie(folder: Path) -> None:
    process = started(SLEEP, folder)
    identity = ProcessId(process.pid, process.create_time())
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert process.status() == psutil.STATUS_ZOMBIE
    assert find(identity, folder) is None


def test_it_is_found_by_its_folder_in_a_session_of_its_own(folder: Path) -> None:
    process = started(SLEEP, folder)
    assert find_marked(folder) == [process]
    assert find_marked(folder / "other") == []
    assert os.getsid(process.pid) == process.pid


async def test_stopping_ends_it_at_once_where_it_listens(folder: Path) -> None:
    process = started(SLEEP, folder)
    await asyncio.wait_for(stop([process], drain_s=30), timeout=5)
    assert find_marked(folder) == []


async def test_stopping_kills_what_does_not_listen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("takeover.providers._process._KILL_AFTER_S", 0.2)
    process = started(DEAF, folder)
    await stop([process], drain_s=0)
    assert find_marked(folder) == []


async def test_stopping_what_has_ended_is_a_success(folder: Path) -> None:
    process = started(SLEEP, folder)
    process.kill()
    process.wait()
    await stop([process, process], drain_s=0)


def test_the_child_of_a_killed_parent_lives_on(folder: Path) -> None:
    code = (
        "import os, pathlib, signal, sys\n"
        "from takeover.providers._process import spawn\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        f"spawn({SLEEP!r}, folder=folder, log=folder / 'log', environment={{}})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], timeout=30)
    assert done.returncode == -signal.SIGKILL
    assert len(find_marked(folder)) == 1


@dataclass(frozen=True)
class Variable:
    id: str
    name: str
    is_inherited: bool


VARIABLES = [
    Variable("the path", "PATH", True),
    Variable("the project's own", "TAKEOVER_CACHE", True),
    Variable("a library's that only sounds like a token", "TOKENIZERS_PARALLELISM", True),
    Variable("the token of the hub, from which the server fetches a base", "HF_TOKEN", True),
    Variable("the engine's passphrase", "PULUMI_CONFIG_PASSPHRASE", False),
    Variable("the engine's backend", "PULUMI_BACKEND_URL", False),
    Variable("a vendor's key", "OPENAI_API_KEY", False),
    Variable("a vendor's token", "MODAL_TOKEN_SECRET", False),
    Variable("a cloud's key", "AWS_SECRET_ACCESS_KEY", False),
    Variable("a cloud's key's name", "AWS_ACCESS_KEY_ID", False),
    Variable("a password", "DATABASE_PASSWORD", False),
]


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.id)
def test_a_server_inherits_no_credentials_but_the_hub_s(variable: Variable) -> None:
    assert (variable.name in server_environment({variable.name: "x"})) is variable.is_inherited


def test_what_the_launch_adds_reaches_the_server_whatever_it_is_called(folder: Path) -> None:
    show = (sys.executable, "-c", f"import os; print(os.environ['VLLM_API_KEY'], os.environ['{MARK}'])")
    spawn(show, folder=folder, log=folder / "log", environment={"VLLM_API_KEY": "k"}).wait()
    assert tail(folder / "log") == f"k {folder}"


def test_the_tail_of_a_log_is_its_last_lines_without_empty_ones(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("\n".join(f"line {number}\n" for number in range(5000)))
    assert tail(tmp_path / "log", 2) == "line 4998\nline 4999"
    assert tail(tmp_path / "none") == ""
