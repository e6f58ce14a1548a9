"""A small Modal on the loopback for the real client: `with FakeModal() as modal:`, then MODAL_SERVER_URL=modal.url.

Built on the client's own stubs (`modal_proto`). It keeps state, checks what it is told, and notes every call that it
does not know as a violation. Secrets arrive in clear: no request is ever printed or kept, only its name.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self

import uvicorn
from fakes.modal_calls import Calls
from fakes.modal_state import Secret, State
from fakes.modal_web import Web
from google.protobuf.unknown_fields import UnknownFieldSet
from grpclib import GRPCError, Status
from grpclib.server import Server, Stream
from modal_proto.api_grpc import ModalClientBase

TOKEN_ID = "ak-for-tests"
TOKEN_SECRET = "as-that-must-not-be-seen"


class FakeModal:
    """State in `state`, what was asked in `calls` (names), what should not have been asked in `violations`."""

    def __init__(self) -> None:
        self.state = State()
        self.calls: list[str] = []
        self.violations: list[str] = []
        self.token_expired = False
        self.web = Web(self.state, self.violations.append)
        self._ports = [_free_port(), _free_port()]
        self.web.root = f"http://127.0.0.1:{self._ports[1]}"
        self.answers = _Answers(self.state, self.web)
        self._ready, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._ports[0]}"

    @property
    def environment(self) -> dict[str, str]:
        """What the client needs to find this one."""
        return {"MODAL_SERVER_URL": self.url, "MODAL_TOKEN_ID": TOKEN_ID, "MODAL_TOKEN_SECRET": TOKEN_SECRET}

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(20), "the fake did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    async def _serve(self) -> None:
        server = Server([_servicer(self)])
        await server.start("127.0.0.1", self._ports[0])
        async with _http(self.web, self._ports[1]):
            self._ready.set()
            while not self._stop.is_set():  # noqa: ASYNC110 - set by another thread
                await asyncio.sleep(0.02)
        server.close()

    def have_secret(self, name: str, values: Mapping[str, str]) -> None:
        """A secret that somebody made in the workspace."""
        secret = Secret(self.state.new_id("st"), name, values)
        self.state.secrets[secret.id] = secret

    def handle(self, name: str, request: Any, metadata: Any) -> Any:
        """The answer to one call, or an iterator of answers."""
        self.calls.append(name)
        given = (metadata.get("x-modal-token-id"), metadata.get("x-modal-token-secret"))
        if given != (TOKEN_ID, TOKEN_SECRET):
            raise GRPCError(Status.UNAUTHENTICATED, "Token ID or token secret is not valid")
        if self.token_expired:
            raise GRPCError(Status.UNAUTHENTICATED, "Token has expired")
        if len(UnknownFieldSet(request)):
            self.violations.append(f"{name} has fields that nothing describes")
        method = getattr(self.answers, re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(), None)
        if method is None:
            self.violations.append(f"{name} is not described")
            raise GRPCError(Status.UNIMPLEMENTED, f"{name} is not described by the fake")
        return method(request)

    @contextmanager
    def held(self, name: str) -> Iterator[tuple[threading.Event, threading.Event]]:
        """Hold the next call of that name: (it has come, let it go)."""
        come, go = threading.Event(), threading.Event()
        self.answers.holds[name] = (come, go)
        try:
            yield come, go
        finally:
            go.set()
            self.answers.holds.pop(name, None)

    @contextmanager
    def killing_after(self, name: str) -> Iterator[threading.Event]:
        """Carry out the next call of that name, and tell before it is answered."""
        self.answers.kills[name] = threading.Event()
        try:
            yield self.answers.kills[name]
        finally:
            del self.answers.kills[name]


class _Answers(Calls):
    def __init__(self, state: State, web: Web) -> None:
        super().__init__(state, web.root)
        self.holds: dict[str, tuple[threading.Event, threading.Event]] = {}
        self.kills: dict[str, threading.Event] = {}
        self.runners = web.runners  # type: ignore[method-assign]
        self.answered = web.answered  # type: ignore[method-assign]


def _servicer(fake: FakeModal) -> ModalClientBase:
    """An object of the stub's class with every call handled in one place."""

    def handler(name: str) -> Any:
        async def handle(_self: object, stream: Stream[Any, Any]) -> None:
            request = await stream.recv_message()
            held = fake.answers.holds.get(name)
            if held is not None:
                held[0].set()
                await asyncio.get_running_loop().run_in_executor(None, held[1].wait, 60)
            answer = fake.handle(name, request, stream.metadata)
            if name in fake.answers.kills:
                fake.answers.kills[name].set()
                await asyncio.sleep(1)  # whoever asked is killed meanwhile, its answer never comes
            for message in answer if inspect.isgenerator(answer) else (answer,):
                await stream.send_message(message)

        return handle

    names = ModalClientBase.__abstractmethods__
    made: ModalClientBase = type("Servicer", (ModalClientBase,), {name: handler(name) for name in names})()
    return made


@asynccontextmanager
async def _http(app: Any, port: int) -> AsyncIterator[None]:
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    task = asyncio.ensure_future(server._serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = server.force_exit = True
        await task


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
