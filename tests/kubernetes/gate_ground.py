"""A real nginx with the configuration that the pods get, before an engine of a few lines."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from takeover.kubernetes import Serving, names
from takeover.kubernetes._gate import configuration

_PATIENCE_S = 10.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Gate:
    """Its address for each of the ports that a pod would have."""

    ports: dict[int, int]
    folder: Path

    def url(self, port: int = names.GATE_PORT) -> str:
        return f"http://127.0.0.1:{self.ports[port]}"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def ask_raw(self, method: str, target: str, port: int = names.GATE_PORT) -> int:
        """The status of a request whose target is sent as it stands: no client would."""
        with socket.create_connection(("127.0.0.1", self.ports[port]), timeout=10) as line:
            line.sendall(f"{method} {target} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n".encode())
            return int(line.makefile("rb").readline().split()[1])


@contextmanager
def gate(nginx: str, serving: Serving, folder: Path, engine_port: int) -> Iterator[Gate]:
    """nginx, answering; its log is what the container's would be."""
    ports = {port: free_port() for port in (names.GATE_PORT, names.METRICS_PORT, names.POOL_PORT)}
    text = configuration(serving, folder=str(folder), engine=f"127.0.0.1:{engine_port}")
    for port, here in ports.items():
        text = text.replace(f"listen {port};", f"listen 127.0.0.1:{here};")
    log = folder / "log"
    text = text.replace("/dev/stdout", str(log))
    (folder / "gate.conf").write_text(text)
    command = [nginx, "-e", str(folder / "errors"), "-c", str(folder / "gate.conf"), "-g", "daemon off;"]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _wait(f"http://127.0.0.1:{ports[names.METRICS_PORT]}/gate", folder)
        yield Gate(ports, folder)
    finally:
        process.terminate()
        process.wait(10)


def _wait(url: str, folder: Path) -> None:
    give_up_at = time.monotonic() + _PATIENCE_S
    while time.monotonic() < give_up_at:
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.02)
    raise TimeoutError((folder / "output").read_text() + (folder / "errors").read_text())


@dataclass
class Engine:
    """Answers everything, and notes what it was asked. `second` holds the second half of an answer back."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    second: threading.Event = field(default_factory=threading.Event)


@contextmanager
def engine() -> Iterator[Engine]:
    """The engine's side: a POST is answered in two pieces."""
    state = Engine()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._note()
            self._head("2")
            self.wfile.write(b"{}")

        def do_POST(self) -> None:
            self._note()
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._head("12")
            self.wfile.write(b"first ")
            self.wfile.flush()
            state.second.wait(10)
            self.wfile.write(b"second")

        def _note(self) -> None:
            state.asked.append(f"{self.command} {self.path}")
            state.headers.append(dict(self.headers))

        def _head(self, length: str) -> None:
            self.send_response(200)
            self.send_header("Content-Length", length)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        state.second.set()
        server.shutdown()
        server.server_close()
        thread.join()
