"""The local tier's own affairs; what every tier must do is in tests/conformance."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from takeover.errors import NotReady, Refused, VendorError
from takeover.providers._base import Described, Endpoint, EndpointSpec, TrainedModel
from takeover.providers._local_state import EndpointFolder
from takeover.providers._process import find_marked
from takeover.providers._progress import reporting
from takeover.providers.local import LocalProvider

FAKE = Path(__file__).parents[1] / "fakes" / "local_server.py"
NAME = "demo-dev-1"


class Local:
    """The provider over a home of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / "home" / "endpoints" / NAME
        self.provider = LocalProvider(home=folder / "home", command=[sys.executable, str(FAKE)])
        self.steps: list[str] = []

    def model(self, mark: str) -> TrainedModel:
        path = self.folder / mark
        path.mkdir(exist_ok=True)
        digest = "sha256:" + mark * 64
        (path / "manifest.json").write_text(json.dumps({"digest": digest}))
        return TrainedModel(
            name="tone", digest=digest, served_name=f"tone@{mark * 12}", path=str(path), base="tiny", rank=8
        )

    async def deploy(self, *marks: str, **options: object) -> Endpoint:
        self.steps = []
        spec = EndpointSpec(name=NAME, base="tiny", options=options)
        with reporting(lambda step, _sentence: self.steps.append(step)):
            return await self.provider.deploy(tuple(self.model(mark) for mark in marks), spec)

    async def told(self) -> Described:
        endpoint = await self.provider.find(NAME)
        assert endpoint is not None
        told = await self.provider.describe(endpoint)
        assert told is not None
        return told

    def server(self) -> psutil.Process:
        return psutil.Process(json.loads((self.files / "server.json").read_text())["pid"])

    def kill(self) -> None:
        """End the server as a crash does, and see it end."""
        server = self.server()
        server.kill()
        server.wait()

    async def loading(self) -> asyncio.Task[Endpoint]:
        """A deploy that has started its server, and waits for it."""
        work = asyncio.create_task(self.deploy("a"))
        while True:
            await asyncio.sleep(0.01)
            assert not work.done()
            if (self.files / "server.json").exists():
                return work


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    local = Local(tmp_path)
    yield local
    for process in find_marked(local.files):
        process.kill()


async def test_the_files_are_their_owner_s_alone_and_the_key_stays(local: Local) -> None:
    first = await local.deploy("a")
    second = await local.deploy("b")
    assert first.api_key == second.api_key
    modes = {name: stat.S_IMODE((local.files / name).stat().st_mode) for name in ("", "key", "record.json")}
    assert modes == {"": 0o700, "key": 0o600, "record.json": 0o600}


async def test_a_server_that_was_killed_is_told_as_gone_and_started_anew(local: Local) -> None:
    before = await local.deploy("a")
    local.kill()
    dead = await local.told()
    assert (dead.healthy, dead.reason, dead.digests) == (False, "its process is gone", ())
    assert dead.endpoint.url == before.url
    assert dead.endpoint.replicas_ready == 0
    after = await local.deploy("a")
    assert (await local.told()).healthy
    assert after.url == before.url


async def test_another_option_drains_the_server_and_starts_one_with_it(local: Local) -> None:
    await local.deploy("a", maxBatch=4)
    old = local.server()
    await local.deploy("a", maxBatch=2)
    assert not old.is_running()
    assert "--max-batch 2" in " ".join(local.server().cmdline())


async def test_another_version_neither_starts_nor_stops_a_server(local: Local) -> None:
    await local.deploy("a")
    before = local.server()
    await local.deploy("b")
    assert local.server() == before
    assert local.steps == ["prepare", "record", "ready", "load", "ask", "retire", "finish"]


async def test_the_version_before_stays_where_the_new_one_does_not_answer(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAKEOVER_FAKE_MUTE", "tone@" + "b" * 12)
    await local.deploy("a")
    with pytest.raises(VendorError, match=r"tone@b+ was loaded and does not answer"):
        await local.deploy("b")
    assert (await local.told()).digests == ("sha256:" + "a" * 64,)


async def test_a_version_that_is_being_retired_is_taken_back(local: Local) -> None:
    await local.deploy("a")
    await local.deploy("b")
    await local.deploy("a")
    assert (await local.told()).digests == ("sha256:" + "a" * 64,)


async def test_an_adapter_that_is_no_more_where_it_was_is_refused_and_the_one_before_stays(local: Local) -> None:
    await local.deploy("a")
    gone = local.model("b").model_copy(update={"path": "/nowhere"})
    with pytest.raises(Refused, match="No adapter found for"):
        await local.provider.deploy((gone,), EndpointSpec(name=NAME, base="tiny"))
    assert (await local.told()).digests == ("sha256:" + "a" * 64,)


async def test_a_refused_first_deploy_leaves_nothing(local: Local) -> None:
    gone = local.model("a").model_copy(update={"path": "/nowhere"})
    with pytest.raises(Refused, match="refused to start"):
        await local.provider.deploy((gone,), EndpointSpec(name=NAME, base="tiny"))
    assert await local.provider.find(NAME) is None
    assert not local.files.exists()
    assert find_marked(local.files) == []


async def test_a_port_that_somebody_else_has_is_refused_with_the_setting_s_name(local: Local) -> None:
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(Refused) as caught:
            await local.deploy("a", port=port)
    assert f"port {port} is not free" in str(caught.value)
    assert f"pid {os.getpid()}" in str(caught.value)
    assert "takeover:local.port" in str(caught.value)
    assert not local.files.exists()


async def test_a_port_of_one_s_own_is_kept(local: Local) -> None:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    first = await local.deploy("a", port=port)
    assert await local.deploy("b", port=port) == first.model_copy(update={"models": ("tone@" + "b" * 12,)})


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with us."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


async def test_a_recycled_pid_is_never_killed(local: Local, stranger: subprocess.Popen[bytes]) -> None:
    """The file names a process that is alive, but another one than the server that wrote it."""
    await local.deploy("a")
    written = json.loads((local.files / "server.json").read_text())
    local.kill()
    told = json.dumps({**written, "pid": stranger.pid})
    (local.files / "server.json").write_text(told)
    await local.deploy("b")
    (local.files / "server.json").write_text(told)
    endpoint = await local.provider.find(NAME)
    assert endpoint is not None
    await local.provider.destroy(endpoint)
    assert stranger.poll() is None


async def test_a_server_whose_files_were_deleted_is_found_and_ended(local: Local) -> None:
    await local.deploy("a")
    forgotten = local.server()
    for file in local.files.iterdir():
        file.unlink()
    local.files.rmdir()
    assert await local.provider.find(NAME) is None
    await local.deploy("a")
    assert not forgotten.is_running() or forgotten.status() == psutil.STATUS_ZOMBIE
    assert len(find_marked(local.files)) == 1


async def test_a_record_that_was_cut_off_is_as_good_as_none(local: Local) -> None:
    await local.deploy("a")
    (local.files / "record.json").write_text('{"spec": {"na')
    assert await local.provider.find(NAME) is None
    await local.deploy("a")
    assert (await local.told()).healthy


async def test_a_server_that_takes_too_long_goes_on_loading_and_is_taken_up_by_the_next(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAKEOVER_FAKE_LOADS_S", "1.5")
    with pytest.raises(NotReady, match="still loading after 1 s"):
        await local.deploy("a", startTimeoutSeconds=1)
    loading = local.server()
    await local.deploy("a", startTimeoutSeconds=2)
    assert local.server() == loading


async def test_a_deploy_that_is_stopped_lets_go_of_the_name_and_keeps_what_it_made(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAKEOVER_FAKE_LOADS_S", "60")
    work = await local.loading()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    left = await local.provider.find(NAME)
    assert left is not None
    await asyncio.wait_for(local.provider.destroy(left), timeout=5)
    assert find_marked(local.files) == []


async def test_a_name_that_climbs_out_of_the_home_is_refused(local: Local) -> None:
    with pytest.raises(Refused, match="cannot be an endpoint's name"):
        await local.provider.deploy((local.model("a"),), EndpointSpec(name="../other", base="tiny"))


async def test_a_killed_server_s_signal_is_told_as_what_it_mostly_is(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAKEOVER_FAKE_LOADS_S", "60")
    work = await local.loading()
    local.server().kill()
    with pytest.raises(VendorError, match="as the system does when memory runs out"):
        await work


async def test_vllm_without_an_environment_of_its_own_is_refused(local: Local) -> None:
    with pytest.raises(Refused, match="LOCAL_ENGINE_PYTHON"):
        await local.deploy("a", engine="vllm")
    assert not local.files.exists()


async def test_a_full_disk_is_refused_and_nothing_is_left(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(_folder: EndpointFolder, name: str, _text: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    monkeypatch.setattr(EndpointFolder, "_write", write)
    with pytest.raises(Refused, match="no space left to write"):
        await local.deploy("a")
    assert not local.files.exists()


async def test_a_record_of_another_version_s_options_is_destroyed_all_the_same(local: Local) -> None:
    endpoint = await local.deploy("a")
    record = json.loads((local.files / "record.json").read_text())
    record["spec"]["options"] = {"engine": "steam", "drainSeconds": "long"}
    (local.files / "record.json").write_text(json.dumps(record))
    await local.provider.destroy(endpoint)
    assert not local.files.exists()
    assert find_marked(local.files) == []
