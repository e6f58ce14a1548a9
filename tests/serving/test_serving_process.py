"""`python -m serving.local` as a process: its folder, its refusals, its end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from fakes.artifacts import TINY_REVISION

from serving.local.__main__ import main
from takeover.adapter import Adapter

ROOT = Path(__file__).parents[2]
KEY = "the-key-of-the-process"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "endpoint"
    made.mkdir(mode=0o700)
    (made / "key").write_text(KEY + "\n")
    (made / "key").chmod(0o600)
    return made


@dataclass(frozen=True)
class Served:
    """A server's process; `log` is everything it wrote."""

    process: subprocess.Popen[bytes]
    folder: Path

    def file(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.folder / "server.json").read_text())
            return found
        except FileNotFoundError:
            return {}

    def wait_for(self, state: str) -> dict[str, Any]:
        give_up_at = time.monotonic() + 90
        while self.file().get("state") != state:
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < give_up_at, self.log()
            time.sleep(0.02)
        return self.file()

    def wait_until_running(self) -> None:
        """Until one request is being computed."""
        url, headers = self.file()["url"], {"Authorization": f"Bearer {KEY}"}
        while (
            'num_requests_running{engine="0",model_name="tiny"} 1.0'
            not in httpx.get(url + "/metrics", headers=headers).text
        ):
            time.sleep(0.005)

    def log(self) -> str:
        return (self.folder / "server.log").read_text()

    def post(self, **body: Any) -> httpx.Response:
        url, headers = self.file()["url"], {"Authorization": f"Bearer {KEY}"}
        return httpx.post(f"{url}/v1/completions", json={"prompt": "hi", **body}, headers=headers, timeout=60)


@pytest.fixture
def serve(folder: Path) -> Iterator[Callable[..., Served]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> Served:
        command = [sys.executable, "-m", "serving.local", "--state-dir", str(folder), "--base", "tiny", *arguments]
        with (folder / "server.log").open("wb") as log:
            started.append(subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
        return Served(started[-1], folder)

    yield start
    for process in started:
        process.kill()
        process.wait(10)


def test_a_life_from_loading_to_drained(serve: Callable[..., Served], folder: Path, polite: Adapter) -> None:
    """One server for everything that needs a real process, because each start costs seconds."""
    served = serve("--adapter", f"{polite.served_name}={polite.path}", "--dtype", "float32")
    loading = served.wait_for("loading")
    told = httpx.get(loading["url"] + "/health")
    early = served.post()
    ready = served.wait_for("ready")
    assert (told.status_code, told.json(), early.status_code) == (503, {"status": "loading"}, 503)
    assert "retry-after" in early.headers
    assert loading | {"state": "ready", "baseRevision": TINY_REVISION, "startedMs": ready["startedMs"]} == ready
    assert loading == {
        "pid": served.process.pid,
        "startTime": psutil.Process(served.process.pid).create_time(),
        "host": "127.0.0.1",
        "port": loading["port"],
        "url": f"http://127.0.0.1:{loading['port']}",
        "base": "tiny",
        "baseRevision": None,
        "state": "loading",
        "startedMs": None,
    }
    assert 500 < ready["startedMs"] < 90_000

    second = subprocess.run(
        [sys.executable, "-m", "serving.local", "--state-dir", str(folder), "--base", "tiny"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 3
    assert second.stderr.splitlines()[0] == f"error: {folder}: another server runs for this folder"
    assert served.post(model=polite.served_name, max_tokens=2).status_code == 200

    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(served.post(max_tokens=1200, ignore_eos=True)))
    asking.start()
    served.wait_until_running()
    served.process.send_signal(signal.SIGTERM)
    served.wait_for("draining")
    told = httpx.get(ready["url"] + "/health")
    refused = served.post()
    assert (told.status_code, told.json(), refused.status_code) == (503, {"status": "draining"}, 503)
    assert served.process.wait(60) == 0
    asking.join(60)
    assert answers[0].json()["usage"]["completion_tokens"] == 1200
    assert sorted(path.name for path in folder.iterdir()) == ["key", "server.lock", "server.log"]
    assert KEY not in served.log()


def test_a_server_that_is_stopped_while_it_loads_leaves_at_once(serve: Callable[..., Served], folder: Path) -> None:
    served = serve()
    served.wait_for("loading")
    served.process.send_signal(signal.SIGTERM)
    # At once but for the import that holds the interpreter's lock; the machine may stall for half a minute.
    assert served.process.wait(120) == 0
    assert not (folder / "server.json").exists()


def test_a_drain_is_bounded_and_cut_answers_say_so(serve: Callable[..., Served]) -> None:
    served = serve("--drain-seconds", "0.1", "--dtype", "float32")
    served.wait_for("ready")
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(served.post(max_tokens=2000, ignore_eos=True)))
    asking.start()
    served.wait_until_running()
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(60) == 0
    asking.join(60)
    assert (answers[0].status_code, answers[0].json()["error"]["type"]) == (503, "ServiceUnavailableError")


@dataclass(frozen=True)
class Wrong:
    """A command line that cannot be served; `{free}` and `{taken}` are ports, `{adapter}` a sound adapter's folder."""

    id: str
    arguments: tuple[str, ...]
    says: tuple[str, ...]


WRONG = [
    Wrong("an unknown base", ("--base", "gpt-5"), ("the base 'gpt-5' is of no known form",)),
    Wrong("a base without a revision", ("--base", "hub:org/name"), ("is not pinned",)),
    Wrong("a base that is no folder of a model", ("--base", "folder:{empty}"), ("is no base",)),
    Wrong("a port in use", ("--base", "tiny", "--port", "{taken}"), ("--port: port {taken} is in use",)),
    Wrong("a port that is none", ("--base", "tiny", "--port", "70000"), ("port 70000 cannot be used",)),
    Wrong("a host that others can reach", ("--base", "tiny", "--host", "0.0.0.0"), ("this machine alone",)),
    Wrong(
        "two bad adapters at once",
        ("--base", "tiny", "--adapter", "a@000000000000={empty}", "--adapter", "b@000000000000={adapter}"),
        ("2 mistakes", "1. ", "2. ", "b@000000000000"),
    ),
    Wrong("a context longer than the base's", ("--base", "tiny", "--context-length", "4096"), ("2 to 2048 tokens",)),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.id)
def test_what_cannot_be_served_is_one_message_and_code_2(
    folder: Path, polite: Adapter, capsys: pytest.CaptureFixture[str], case: Wrong
) -> None:
    empty = folder.parent / "empty"
    empty.mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        values = {"empty": empty, "taken": taken.getsockname()[1], "adapter": polite.path}
        arguments = [word.format(**values) for word in case.arguments]
        code = main(["--state-dir", str(folder), *arguments])
    message = capsys.readouterr().err
    assert code == 2
    assert [text for text in case.says if text.format(**values) not in message] == []
    assert "Traceback" not in message
    assert sorted(path.name for path in folder.iterdir()) == ["key", "server.lock"]


def test_no_memory_for_the_base(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    free = psutil.virtual_memory()._replace(available=100_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    assert main(["--state-dir", str(folder), "--base", "tiny"]) == 2
    assert "error: no memory for the base" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--max-batch", "0"], "at least 1"),
        (["--port", "-1"], "at least 0"),
        (["--adapter", "no-path"], "is not SERVED_NAME=PATH"),
        (["--dtype", "int4"], "invalid choice"),
    ],
)
def test_a_wrong_option(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--state-dir", str(folder), "--base", "tiny", *arguments])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


@dataclass(frozen=True)
class BadFolder:
    id: str
    damage: Callable[[Path], object]
    says: str


BAD_FOLDERS = [
    BadFolder("there is no folder", lambda folder: (folder / "key").unlink() or folder.rmdir(), "no such folder"),
    BadFolder("there is no key", lambda folder: (folder / "key").unlink(), "the key cannot be read"),
    BadFolder("the key is empty", lambda folder: (folder / "key").write_text(" \n"), "the key is empty"),
    BadFolder("others can read the key", lambda folder: (folder / "key").chmod(0o640), "others can read the key"),
]


@pytest.mark.parametrize("case", BAD_FOLDERS, ids=lambda case: case.id)
def test_a_folder_that_cannot_be_used(folder: Path, capsys: pytest.CaptureFixture[str], case: BadFolder) -> None:
    case.damage(folder)
    assert main(["--state-dir", str(folder), "--base", "tiny"]) == 2
    assert case.says in capsys.readouterr().err
