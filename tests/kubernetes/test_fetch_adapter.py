"""The init container's program as a process of its own, against a web server and the Hub's stand-in."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.artifacts import make_adapter

from serving.kubernetes import fetch_adapter
from takeover.adapter import Adapter

SCRIPT = Path(fetch_adapter.__file__)
COMMIT = "c" * 40
FILES = ("adapter_config.json", "adapter_model.safetensors")


@dataclass
class Web:
    """A folder's files by HTTP. `cut` answers end that early, so many times; `failures` come before any answer."""

    folder: Path
    port: int = 0
    cut: int = 0
    cuts: int = 0
    failures: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/tone"


@contextmanager
def web(folder: Path) -> Iterator[Web]:
    state = Web(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            state.asked.append(f"{self.path} {self.headers.get('Authorization', '')}".strip())
            file = state.folder / self.path.rpartition("/")[2]
            if state.failures > 0:
                state.failures -= 1
                self.send_error(503)
                return
            if not file.is_file():
                self.send_error(404)
                return
            data = file.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            # By these the Hub's client knows a file.
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.end_headers()
            if self.command == "HEAD":
                return
            is_cut = state.cuts > 0 and file.suffix == ".safetensors"
            state.cuts -= is_cut
            self.wfile.write(data[: state.cut] if is_cut else data)

        def log_message(self, *_args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    return make_adapter(tmp_path_factory.mktemp("adapters") / "tone")


@pytest.fixture(scope="module")
def served(adapter: Adapter) -> Iterator[Web]:
    with web(adapter.path) as found:
        yield found


@dataclass(frozen=True)
class Ran:
    code: int
    said: str


def fetch(into: Path, source: str, digest: str, **environment: str) -> Ran:
    """As the pod runs it: nothing of takeover can be imported."""
    wanted = json.dumps([{"name": "tone@0123456789ab", "source": source, "digest": digest}])
    kept = {name: os.environ[name] for name in ("PATH",)}
    told: Mapping[str, str] = {
        "TAKEOVER_ADAPTERS": wanted,
        "TAKEOVER_INTO": str(into),
        "TAKEOVER_PAUSE_SECONDS": "0.01",
        "HOME": str(into.parent),
        **environment,
    }
    command = [sys.executable, "-I", "-B", str(SCRIPT)]
    done = subprocess.run(command, env={**kept, **told}, cwd=into.parent, capture_output=True, text=True, timeout=60)
    return Ran(done.returncode, done.stdout + done.stderr)


def there(into: Path) -> list[str]:
    return sorted(path.relative_to(into).as_posix() for path in into.rglob("*") if path.is_file())


def test_the_right_adapter_is_there_whole_and_a_second_start_asks_nobody(
    served: Web, adapter: Adapter, tmp_path: Path
) -> None:
    into = tmp_path / "adapters"
    ran = fetch(into, served.address, adapter.digest)
    assert ran.code == 0, ran.said
    assert "bytes from http://127.0.0.1" in ran.said
    hex_digest = adapter.digest.removeprefix("sha256:")
    assert there(into) == [f"{hex_digest}/{name}" for name in FILES]
    assert all((into / hex_digest / name).read_bytes() == (adapter.path / name).read_bytes() for name in FILES)
    served.asked.clear()
    again = fetch(into, served.address, adapter.digest)
    assert (again.code, served.asked) == (0, [])
    assert "is there and verified" in again.said


def test_its_digest_is_the_one_of_takeover(adapter: Adapter, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_bytes((adapter.path / name).read_bytes())
    assert fetch_adapter.digest_of(folder) == adapter.digest


def test_another_adapter_is_not_served_and_not_left_there(served: Web, adapter: Adapter, tmp_path: Path) -> None:
    into, wanted = tmp_path / "adapters", f"sha256:{'0' * 64}"
    ran = fetch(into, served.address, wanted)
    assert ran.code == 1
    assert ran.said.splitlines() == [
        f"fetch-adapters: tone@0123456789ab: {served.address} holds {adapter.digest}, but {wanted} was asked for; "
        "it is not served"
    ]
    assert there(into) == []


def test_what_was_damaged_in_the_volume_is_fetched_again(served: Web, adapter: Adapter, tmp_path: Path) -> None:
    into = tmp_path / "adapters"
    fetch(into, served.address, adapter.digest)
    weights = into / adapter.digest.removeprefix("sha256:") / FILES[1]
    weights.write_bytes(weights.read_bytes()[:-1])
    assert fetch(into, served.address, adapter.digest).code == 0
    assert weights.read_bytes() == (adapter.path / FILES[1]).read_bytes()


def test_an_answer_that_ends_early_is_asked_for_again(adapter: Adapter, tmp_path: Path) -> None:
    with web(adapter.path) as cut:
        cut.cut, cut.cuts, cut.failures = 100, 2, 1
        ran = fetch(tmp_path / "adapters", cut.address, adapter.digest)
    assert ran.code == 0
    assert ran.said.count("once more in") == 3
    assert "HTTPError: HTTP Error 503" in ran.said


def test_a_network_that_does_not_come_back_ends_in_one_line(adapter: Adapter, tmp_path: Path) -> None:
    into = tmp_path / "adapters"
    with web(adapter.path) as cut:
        cut.cut, cut.cuts = 100, 1000
        ran = fetch(into, cut.address, adapter.digest)
    assert ran.code == 1
    assert "could not be fetched" in ran.said.splitlines()[-1]
    assert "Traceback" not in ran.said
    assert not (into / adapter.digest.removeprefix("sha256:")).exists()


@dataclass(frozen=True)
class Wrong:
    id: str
    source: str
    said: str
    digest: str = f"sha256:{'0' * 64}"


WRONG = (
    Wrong("a way out of the place", "https://host/../../etc", "leads out of its place"),
    Wrong("a way out of a bucket", "s3://bucket/a/../../b", "leads out of its place"),
    Wrong("a branch of the Hub", "hf://org/tone@main", "a branch or a tag can move"),
    Wrong("a folder of the machine", "file:///etc", "is no address"),
    Wrong("no address at all", "tone", "is no address"),
    Wrong("a digest with a way out", "https://host/tone", "64 hexadecimal digits", digest="sha256:../../../etc"),
)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_what_is_no_adapter_s_address_is_refused_before_anything_is_asked(wrong: Wrong, tmp_path: Path) -> None:
    ran = fetch(tmp_path / "adapters", wrong.source, wrong.digest)
    assert ran.code == 1
    assert wrong.said in ran.said
    assert ran.said.count("\n") == 1


def test_a_file_that_is_not_there_is_not_asked_for_twice(tmp_path: Path) -> None:
    with web(tmp_path) as empty:
        ran = fetch(tmp_path / "adapters", empty.address, f"sha256:{'0' * 64}")
        assert (ran.code, len(empty.asked)) == (1, 1)
    assert "answers 404" in ran.said


def test_from_the_hub_by_its_own_client_with_the_token(served: Web, adapter: Adapter, tmp_path: Path) -> None:
    served.asked.clear()
    hub = {"HF_ENDPOINT": f"http://127.0.0.1:{served.port}", "HF_TOKEN": "hf_private", "HF_HUB_DISABLE_XET": "1"}
    into = tmp_path / "adapters"
    ran = fetch(into, f"hf://acme/tone@{COMMIT}", adapter.digest, **hub)
    assert ran.code == 0, ran.said
    files = {line for line in served.asked if "/resolve/" in line}
    assert files == {f"/acme/tone/resolve/{COMMIT}/{name} Bearer hf_private" for name in FILES}
    assert "hf_private" not in ran.said
    assert there(into) == [f"{adapter.digest.removeprefix('sha256:')}/{name}" for name in FILES]


@dataclass
class Bucket:
    """In place of the two clouds' clients: it writes down what it was asked for."""

    files: Path
    asked: list[str] = field(default_factory=list)
    name: str = ""

    def copy(self, key: str, path: str) -> None:
        self.asked.append(key)
        Path(path).write_bytes((self.files / key.rpartition("/")[2]).read_bytes())

    def client(self, service: str) -> Any:
        assert service == "s3"
        return SimpleNamespace(download_file=lambda bucket, key, path: self.copy(f"{bucket}/{key}", path))

    def Client(self) -> Any:  # noqa: N802 Google's name
        return SimpleNamespace(bucket=lambda name: SimpleNamespace(blob=lambda key: self._blob(f"{name}/{key}")))

    def _blob(self, key: str) -> Any:
        return SimpleNamespace(download_to_filename=lambda path: self.copy(key, path))


@pytest.mark.parametrize(("scheme", "module"), [("s3", "boto3"), ("gs", "google.cloud.storage")])
def test_from_a_bucket_by_the_version_s_own_folder(
    scheme: str, module: str, adapter: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket(adapter.path)
    asked: list[str] = []
    monkeypatch.setattr(fetch_adapter, "import_module", lambda name: (asked.append(name), bucket)[1])
    fetch_adapter.place("tone", f"{scheme}://acme/llm/tone@{adapter.digest}", adapter.digest, tmp_path)
    assert set(asked) == {module}
    hex_digest = adapter.digest.removeprefix("sha256:")
    assert bucket.asked == [f"acme/llm/tone/{hex_digest}/{name}" for name in FILES]
    assert there(tmp_path) == [f"{hex_digest}/{name}" for name in FILES]


def test_an_image_without_the_bucket_s_client_says_so_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [{"name": "tone", "source": "s3://acme/tone", "digest": f"sha256:{'0' * 64}"}]
    monkeypatch.setenv("TAKEOVER_ADAPTERS", json.dumps(wanted))
    monkeypatch.setenv("TAKEOVER_INTO", str(tmp_path))
    monkeypatch.setitem(sys.modules, "boto3", None)
    assert fetch_adapter.main() == 1
    said = capsys.readouterr().err
    assert said == "fetch-adapters: tone: s3://acme/tone cannot be fetched: this image has no boto3\n"
