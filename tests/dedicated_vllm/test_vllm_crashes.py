"""A process that dies after any request of a deploy, an update or a destroy, and then the same command again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.vllm_server import vllm_cluster
from vllm_ground import NAME, Ground

from takeover.providers import _http
from takeover.providers._http import Request, Response


class Crash(BaseException):
    """The end of the process: no handler of ours may catch it."""


@dataclass
class Wire:
    """Counts the requests of a process, and ends it after the answer to number `dies_after` (0 is never)."""

    dies_after: int
    sent: int = 0

    async def exchange(self, request: Request, transport: object) -> Response:
        self._die_if_due()
        response = await EXCHANGE(request, None)
        self.sent += 1
        self._die_if_due()
        return response

    def _die_if_due(self) -> None:
        if self.dies_after and self.sent >= self.dies_after:
            raise Crash


EXCHANGE = _http._exchange


@contextmanager
def wire(monkeypatch: pytest.MonkeyPatch, dies_after: int = 0) -> Iterator[Wire]:
    with monkeypatch.context() as patched:
        made = Wire(dies_after)
        patched.setattr(_http, "_exchange", made.exchange)
        yield made


@dataclass(frozen=True)
class Command:
    """A command, what was before it, and what is served after it."""

    id: str
    before: str
    run: Callable[[Ground], Awaitable[object]]
    after: str


COMMANDS = [
    Command("a first deploy", "", lambda ground: ground.deploy(ground.model("a")), "a"),
    Command("a change of version", "a", lambda ground: ground.deploy(ground.model("b")), "b"),
    Command("a destroy", "ab", lambda ground: ground.provider().destroy(ground.endpoint()), ""),
]


async def prepare(ground: Ground, before: str) -> None:
    ground.options |= {"drainSeconds": 0, "agreements": 2}
    if before:
        await ground.deploy(*(ground.model(mark, name=f"tone-{mark}") for mark in before[1:]), ground.model(before[0]))


async def requests_of(command: Command, ground: Ground) -> int:
    """How many requests the whole command makes."""
    await prepare(ground, command.before)
    with wire(ground.monkeypatch) as whole:
        await command.run(ground)
    await ground.provider().destroy(ground.endpoint())
    return whole.sent


def expected(ground: Ground, marks: str) -> tuple[list[list[str]], list[str], int]:
    names = [ground.model(mark).served_name for mark in marks]
    return [names] * len(ground.cluster.replicas), names, int(bool(marks))


async def found(ground: Ground) -> tuple[list[list[str]], list[str], int]:
    endpoint = await ground.provider().find(NAME)
    return ground.cluster.names(), ground.files(), int(endpoint is not None)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.id)
async def test_dying_after_any_request_and_running_again_ends_as_if_nothing_had_been(
    two: Ground, command: Command
) -> None:
    whole = await requests_of(command, two)
    assert whole >= 6
    for number in range(1, whole + 1):
        await prepare(two, command.before)
        with wire(two.monkeypatch, number), pytest.raises(Crash):
            await command.run(two)
        await command.run(two)
        assert await found(two) == expected(two, command.after), f"after request {number} of {whole}"
        await two.provider().destroy(two.endpoint())
        assert await found(two) == expected(two, ""), f"after request {number} of {whole}"


@pytest.mark.parametrize("command", COMMANDS[:2], ids=lambda command: command.id)
async def test_dying_after_any_request_and_destroying_leaves_nothing(ground: Ground, command: Command) -> None:
    whole = await requests_of(command, ground)
    for number in range(1, whole + 1):
        await prepare(ground, command.before)
        with wire(ground.monkeypatch, number), pytest.raises(Crash):
            await command.run(ground)
        await ground.provider().destroy(ground.endpoint())
        assert await found(ground) == expected(ground, ""), f"after request {number} of {whole}"


async def test_dying_between_the_replicas_leaves_the_old_version_answering_everywhere(
    tmp_path: Path, adapters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with vllm_cluster(replicas=3) as cluster:
        ground = Ground(cluster, tmp_path, adapters, monkeypatch)
        old, new = ground.model("a"), ground.model("b")
        for number in range(1, 16):
            await ground.deploy(old)
            with wire(monkeypatch, number), pytest.raises(Crash):
                await ground.deploy(new)
            assert all(old.served_name in names for names in cluster.names())
            await ground.provider().destroy(ground.endpoint())
