"""A small OpenAI-style server on the loopback, which refuses what it does not describe.

It serves `/v1/models` and `/v1/chat/completions`, plain and streamed. Its answer repeats the model and the last
message, so that a test sees who was asked what.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

KEY = "stub-key-7f3a"
MODEL = "support-tone@3fa9c1d20b77"
BASE = "tiny"
_KNOWN = {"model", "messages", "stream", "max_tokens", "temperature", "top_p", "seed", "stop", "stream_options"}


@dataclass(frozen=True)
class Failure:
    """One request answered with an error instead."""

    status: int
    message: str = "no"
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def pieces(model: str, prompt: str) -> list[str]:
    """The answer, as it is streamed."""
    return [model, " says: ", prompt]


class OpenAIStub:
    """`with OpenAIStub() as stub:` serves until the block ends, then cuts every connection.

    `failures` are used up in order, one a request; `cut_after` breaks streams off after so many pieces, `hold_after`
    waits there until the client hangs up (`hung_up`), and `mute_end` leaves out the finish reason. `requests` are the
    bodies of all chat requests.
    """

    def __init__(self, *, models: Sequence[str] = (MODEL,), base: str = BASE, key: str = KEY) -> None:
        self.models = list(models)
        self.base = base
        self.key = key
        self.failures: list[Failure] = []
        self.cut_after: int | None = None
        self.hold_after: int | None = None
        self.hung_up = threading.Event()
        self.mute_end = False
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.broken: list[str] = []
        self._open: set[socket.socket] = set()
        self._server = _Server(self)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        assert self.broken == [], self.broken

    def stop(self) -> None:
        """As if it were killed: the port closes, and so does every connection. Twice is once."""
        self._server.shutdown()
        self._server.server_close()
        for connection in tuple(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                self._open.discard(connection)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, stub: OpenAIStub) -> None:
        self.stub = stub
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that was cut is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.stub._open.add(self.connection)

    def finish(self) -> None:
        self.server.stub._open.discard(self.connection)
        super().finish()

    def log_message(self, *_: object) -> None:
        """Not on the test's screen."""

    def do_GET(self) -> None:
        stub = self.server.stub
        if not self._is_authorized():
            return
        if self.path != "/v1/models":
            self._undescribed()
            return
        listed = [{"id": stub.base, "object": "model", "created": 0, "owned_by": "stub", "parent": None}]
        listed += [{**listed[0], "id": name, "parent": stub.base} for name in stub.models]
        self._send(200, {"object": "list", "data": listed})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        stub = self.server.stub
        if self.path != "/v1/chat/completions" or set(body) - _KNOWN:
            self._undescribed()
            return
        stub.requests.append(body)
        stub.headers.append({name.lower(): value for name, value in self.headers.items()})
        if not self._is_authorized():
            return
        if stub.failures:
            self._fail(stub.failures.pop(0))
        elif body["model"] not in (stub.base, *stub.models):
            self._fail(Failure(404, f"The model `{body['model']}` does not exist.", "model_not_found"))
        elif body.get("stream"):
            self._stream(body)
        else:
            self._complete(body)

    def _is_authorized(self) -> bool:
        authorized = self.headers["Authorization"] == f"Bearer {self.server.stub.key}"
        if not authorized:
            self._fail(Failure(401, f"Wrong key: {self.headers['Authorization']}", "invalid_api_key"))
        return authorized

    def _undescribed(self) -> None:
        self.server.stub.broken.append(f"{self.command} {self.path}")
        self._fail(Failure(400, "not described"))

    def _complete(self, body: dict[str, Any]) -> None:
        text = "".join(pieces(body["model"], body["messages"][-1]["content"]))
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
        self._send(200, {**_envelope(body, "chat.completion"), "choices": [choice], "usage": usage})

    def _stream(self, body: dict[str, Any]) -> None:
        stub = self.server.stub
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        envelope = _envelope(body, "chat.completion.chunk")
        self._event({**envelope, "choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}]})
        texts = pieces(body["model"], body["messages"][-1]["content"])
        for text in texts[: stub.cut_after if stub.hold_after is None else stub.hold_after]:
            self._event({**envelope, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})
        if stub.hold_after is not None:
            self.connection.settimeout(10)
            if self.connection.recv(1, socket.MSG_PEEK) == b"":
                stub.hung_up.set()
        if stub.cut_after is not None or stub.hold_after is not None:
            self.close_connection = True
            return
        if not stub.mute_end:
            self._event({**envelope, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, value: dict[str, Any]) -> None:
        self._chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _fail(self, failure: Failure) -> None:
        error = {"message": failure.message, "type": "stub_error", "code": failure.code}
        self._send(failure.status, {"error": error}, failure.headers)

    def _send(self, status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "x-request-id": "req_1", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()


def _envelope(body: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 0, "model": body["model"]}
