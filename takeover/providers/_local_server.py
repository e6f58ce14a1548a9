"""The process behind a local endpoint: found if it runs, started if not, waited for until it answers."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import time
from dataclasses import dataclass

import psutil

from takeover.errors import NotReady, Refused, TakeoverError, VendorError
from takeover.providers._http import send
from takeover.providers._local_engines import Launch
from takeover.providers._local_state import EndpointFolder, ServerFile
from takeover.providers._openai import Server, build_health
from takeover.providers._process import find, find_marked, spawn, stop, tail
from takeover.providers._progress import progress

__all__ = ["ensure_running", "is_free", "is_healthy", "require_free_port", "running", "stop_all"]

_LOOK_EVERY_S = 0.1
_SAY_EVERY_S = 1.0
# What a log puts before its words: `2026-11-24 23:02:17,667 INFO `.
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d[ T][\d:.,]+\S* (?:[A-Z]+ )?")
_EXIT_REFUSED = 2
_EXIT_OTHER_SERVER = 3


@dataclass(frozen=True)
class Running:
    """A live server of the endpoint; `child` only when this very process started it."""

    process: psutil.Process
    child: subprocess.Popen[bytes] | None = None


def running(folder: EndpointFolder) -> psutil.Process | None:
    """The live process that `server.json` names."""
    server = folder.server()
    return find(server.process, folder.path) if server else None


async def stop_all(folder: EndpointFolder, *, drain_s: float) -> None:
    """End whatever runs for this endpoint, also what no file tells of."""
    named = running(folder)
    marked = find_marked(folder.path)
    await stop([*([named] if named and named not in marked else []), *marked], drain_s=drain_s)
    folder.forget_server()


def require_free_port(port: int, held_by: psutil.Process | None, served: ServerFile | None) -> None:
    """Raise Refused when somebody else listens there; 0 stands for any free port."""
    if port == 0 or (held_by and served and served.port == port) or is_free(port):
        return
    raise Refused(
        f"port {port} is not free",
        why=_holder(port),
        fix="Set takeover:local.port to another port, or leave it out for any free one.",
        where="takeover:local.port",
    )


def is_free(port: int) -> bool:
    """Whether a server of this user could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _holder(port: int) -> str:
    """Who listens there, in a sentence, as far as the system tells an ordinary user."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                return f"It is taken by {psutil.Process(connection.pid).name()}, pid {connection.pid}."
    except psutil.Error:
        return ""
    return ""


async def ensure_running(
    folder: EndpointFolder,
    launch: Launch,
    *,
    drain_s: float,
    timeout_s: float,
    written_for_it: ServerFile | None = None,
) -> tuple[ServerFile, bool]:
    """A ready server started by `launch`, and whether it is a new one.

    One that runs already is taken as it is, loading or ready; one that was started otherwise is drained and replaced.
    `written_for_it` is the server file of a server that writes none itself; its process is filled in here.
    """
    give_up_at = time.monotonic() + timeout_s
    while True:
        process = running(folder)
        if process is not None and launch.started(_command_line(process)):
            found, is_new = Running(process), False
        else:
            found, is_new = await _start(folder, launch, drain_s, written_for_it), True
        server = await _wait(folder, found, give_up_at, timeout_s)
        if server is not None:
            return server, is_new
        if time.monotonic() > give_up_at:
            raise VendorError(
                f"another server holds the folder of {folder.name}, and is not to be found",
                why=_quoted(tail(folder.log)),
            )
        await asyncio.sleep(_LOOK_EVERY_S)


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


async def _start(folder: EndpointFolder, launch: Launch, drain_s: float, written: ServerFile | None) -> Running:
    progress("replace", f"making room for {folder.name}")
    await stop_all(folder, drain_s=drain_s)
    progress("start", f"starting the server of {folder.name}")
    command = (*launch.command, *launch.adapters)
    try:
        child = spawn(command, folder=folder.path, log=folder.log, environment=launch.environment)
    except OSError as error:
        raise Refused(
            f"{command[0]} cannot be started", why=f"{error.strerror}.", where="takeover:local.engine"
        ) from None
    process = psutil.Process(child.pid)
    if written is not None:
        identity = {"pid": child.pid, "start_time": process.create_time()}
        folder.write_server(written.model_copy(update=identity))
    progress("started", f"the server of {folder.name} runs as pid {child.pid}")
    return Running(process, child)


async def _wait(folder: EndpointFolder, found: Running, give_up_at: float, timeout_s: float) -> ServerFile | None:
    """The server file once it is ready; None when it ended and another look is due; raises when it died for good."""
    said, say_at = "", time.monotonic() + _SAY_EVERY_S
    while True:
        code = _exit_code(folder, found)
        if code is not None:
            _raise_if_for_good(folder, found, code)
            return None
        server = folder.server()
        if server is not None and server.pid == found.process.pid and await is_healthy(server.root):
            return folder.server() or server
        if time.monotonic() > give_up_at:
            raise NotReady(
                f"{folder.name} is still loading after {timeout_s:g} s",
                why=_quoted(tail(folder.log, 3)),
                fix="It goes on loading: run the command again, or raise takeover:local.startTimeoutSeconds.",
            )
        line = _STAMP.sub("", tail(folder.log, 1))
        if time.monotonic() > say_at and line != said:
            progress("wait", line)
            said, say_at = line, time.monotonic() + _SAY_EVERY_S
        await asyncio.sleep(_LOOK_EVERY_S)


async def is_healthy(root: str) -> bool:
    """Whether `/health` says 200 right now."""
    try:
        return (await send(build_health(Server(root, None)))).status == 200
    except TakeoverError:
        return False


def _exit_code(folder: EndpointFolder, found: Running) -> int | None:
    """How it ended, None while it runs; -1 for one that another process started, whose code nobody keeps."""
    if found.child is not None:
        return found.child.poll()
    return None if running(folder) == found.process else -1


def _raise_if_for_good(folder: EndpointFolder, found: Running, code: int) -> None:
    """A second look helps when another server was first, or when one that we had only found went away."""
    if code == _EXIT_OTHER_SERVER or found.child is None:
        return
    why = _quoted(tail(folder.log))
    if code == _EXIT_REFUSED:
        raise Refused(
            f"the server of {folder.name} refused to start", why=why, fix="Mend what it names, and try again."
        )
    raise VendorError(
        f"the server of {folder.name} ended while it was starting ({_how(code)})",
        why=why,
        fix="Nothing of it runs any more; mend what its log says and run the command again.",
    )


def _how(code: int) -> str:
    if code == -signal.SIGKILL:
        return "killed by signal 9, as the system does when memory runs out"
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _quoted(text: str) -> str:
    return "Its last lines:\n" + "\n".join(f"    {line}" for line in text.splitlines()) if text else "It wrote no log."
