"""One server's life: bind, load, serve, drain."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from pydantic import SecretStr

from serving.local.app import Service, create_app
from serving.local.state import ServerFile, bind, hold_lock, read_key
from takeover.bases import BaseRef, parse_base
from takeover.errors import Refused, TakeoverError, VendorError

if TYPE_CHECKING:
    from serving.local.engine import Engine

__all__ = ["Options", "run"]

log = logging.getLogger("takeover.serving")

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_KEEP_ALIVE_S = 75  # longer than clients keep idle connections (httpx: 5 s), so that none meets a closing one


@dataclass(frozen=True)
class Options:
    """What `python -m serving.local` was told. `adapters` maps served names to folders."""

    state_dir: Path
    base: str
    host: str = "127.0.0.1"
    port: int = 0
    adapters: tuple[tuple[str, Path], ...] = ()
    dtype: str = "auto"
    max_batch: int = 8
    max_queue: int = 64
    context_length: int | None = None
    drain_seconds: float = 30.0


def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return.

    Raises TakeoverError when it cannot start: AlreadyServed, or Refused for whatever it was told wrong. The port is
    bound and `server.json` written before anything is loaded; the file is removed at the end, however that comes.
    """
    with hold_lock(options.state_dir), _signals_end_the_process():
        key = read_key(options.state_dir)
        base = parse_base(options.base)
        listening = bind(options.host, options.port)
        file = ServerFile(options.state_dir, options.host, listening.getsockname()[1], str(base))
        try:
            file.write("loading")
            log.info("loading %s; it will answer at %s", base, file.url)
            asyncio.run(_Life(options, base, file, key).live(listening))
        finally:
            file.remove()
            listening.close()


@contextmanager
def _signals_end_the_process() -> Iterator[None]:
    """From here on a signal runs what is under `finally`; later the event loop takes signals over."""
    before = {number: signal.signal(number, lambda *_: sys.exit(0)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Uvicorn(uvicorn.Server):
    """Signals are ours: uvicorn would close the port at once, but a draining server still says so."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class _Life:
    options: Options
    base: BaseRef
    file: ServerFile
    key: SecretStr
    service: Service = field(default_factory=Service)
    failure: Exception | None = None
    signals: int = 0

    async def live(self, listening: socket.socket) -> None:
        config = uvicorn.Config(
            create_app(self.service, key=self.key),
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=5,
        )
        self.uvicorn = _Uvicorn(config)
        self.loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            self.loop.add_signal_handler(number, self._on_signal)
        threading.Thread(target=self._load, name="loader", daemon=True).start()
        await self.uvicorn.serve(sockets=[listening])
        if self.failure is not None:
            raise self.failure
        if self.service.engine is None:
            # Stopped while loading: the loader may be deep inside torch, which must not meet a dying interpreter.
            self.file.remove()
            os._exit(0)
        await asyncio.to_thread(self.service.engine.close)
        log.info("stopped")

    def _load(self) -> None:
        """In a thread of its own: the base and the adapters named at the start, all mistakes at once."""
        try:
            from serving.local.start import start_engine

            engine = start_engine(self.options, self.base, self.loop)
        except TakeoverError as error:
            self._fail(error)
        except ImportError as error:
            self._fail(Refused("a library of the local tier is missing", why=f"{error}.", fix="Run `make setup`."))
        except Exception as error:
            log.exception("the base could not be loaded")
            self._fail(VendorError(f"the base could not be loaded: {type(error).__name__}: {error}"))
        else:
            self.loop.call_soon_threadsafe(self._ready, engine)

    def _fail(self, error: Exception) -> None:
        self.failure = error
        self.loop.call_soon_threadsafe(self._exit)

    def _exit(self) -> None:
        self.uvicorn.should_exit = True

    def _ready(self, engine: Engine) -> None:
        self.service.engine = engine
        if self.service.state == "draining":
            return
        self.service.state = "ready"
        self.file.mark_ready(engine.local.revision)
        took = (self.file.started_ms or 0) / 1000
        log.info("ready after %.1f s at %s, computing in %s", took, self.file.url, engine.loaded.dtype)

    def _on_signal(self) -> None:
        """The first signal drains, a second one does not wait."""
        self.signals += 1
        if self.signals > 1 or self.service.engine is None:
            self.service.state = "draining"
            self._exit()
            return
        self._draining = self.loop.create_task(self._drain(self.service.engine))

    async def _drain(self, engine: Engine) -> None:
        self.service.state = "draining"
        self.file.write("draining")
        log.info("draining for at most %g s", self.options.drain_seconds)
        if not await asyncio.to_thread(engine.scheduler.drain, self.options.drain_seconds):
            log.warning("the time to drain is over; what still ran was cut off")
        self._exit()
