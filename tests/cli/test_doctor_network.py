"""`takeover doctor`'s look at the network: which hosts, and what is said of one that cannot be reached."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from takeover.engine._network import Host, hosts_of, look, reason_of
from takeover.engine.doctor import Case
from takeover.tiers import TIERS, tier

HUB = Host("https://huggingface.co", needed=False)
FIX = "Look at the network, a proxy (HTTPS_PROXY) or a firewall; folders and tiny need none of it."


@dataclass(frozen=True)
class Wanted:
    id: str
    case: Case
    environ: Mapping[str, str]
    hosts: tuple[Host, ...]


MODAL = Host("https://api.modal.com", needed=True, through_proxy=False)
WANTED = (
    Wanted("a machine", Case(), {}, (HUB,)),
    Wanted("a machine that is offline by choice", Case(), {"HF_HUB_OFFLINE": "1"}, ()),
    Wanted("a mirror of the Hub", Case(), {"HF_ENDPOINT": "https://hub.acme"}, (Host("https://hub.acme", False),)),
    Wanted("a machine with a token", Case(), {"MODAL_TOKEN_ID": "x"}, (HUB, Host(MODAL.url, False, False))),
    Wanted("a local stack", Case("dev", TIERS["local"]), {"MODAL_TOKEN_ID": "x"}, (HUB,)),
    Wanted("a stack on Modal", Case("staging", TIERS["modal"]), {}, (HUB, MODAL)),
    Wanted(
        "a stack on EKS",
        Case("prod", tier("dedicated-vllm", "eks")),
        {"AWS_REGION": "eu-west-1"},
        (HUB, Host("https://eks.eu-west-1.amazonaws.com", needed=True)),
    ),
    Wanted(
        "a stack on SageMaker",
        Case("prod", TIERS["sagemaker"]),
        {"AWS_DEFAULT_REGION": "us-east-1"},
        (HUB, Host("https://api.sagemaker.us-east-1.amazonaws.com", needed=True)),
    ),
)


@pytest.mark.parametrize("wanted", WANTED, ids=lambda wanted: wanted.id)
def test_a_stack_s_hosts_are_looked_at_and_no_others(wanted: Wanted) -> None:
    assert hosts_of(wanted.case, wanted.environ) == wanted.hosts


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TimeoutError(), "no answer in 8 s"),
        (socket.gaierror(-2, "Name or service not known"), "its name leads nowhere"),
        (ssl.SSLCertVerificationError("self-signed"), "its certificate is not trusted here (does a proxy read along?)"),
        (ConnectionRefusedError(), "the connection is refused"),
        (ConnectionResetError(), "the connection fails (ConnectionResetError)"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_why_it_fails_is_said_in_words(error: Exception, said: str) -> None:
    assert reason_of(error) == said


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A port of the loopback that is Modal's for this test; the Hub is left out."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.setenv("MODAL_SERVER_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
        yield listening


def test_a_host_that_listens_is_reached(port: socket.socket) -> None:
    port.listen()
    assert look(Case("staging", TIERS["modal"])) == ("good", "127.0.0.1 can be reached", "")


@pytest.mark.usefixtures("port")
def test_a_host_that_the_stack_needs_and_that_refuses_is_a_problem_with_its_fix() -> None:
    said = "127.0.0.1 cannot be reached: the connection is refused"
    assert look(Case("staging", TIERS["modal"])) == ("problem", said, FIX)


def test_where_a_proxy_is_set_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def ask() -> tuple[str, str, str]:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as proxy:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
            return await asyncio.to_thread(look, Case())

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.acme.invalid")
    assert asyncio.run(ask()) == ("good", "hub.acme.invalid can be reached", "")
    assert asked == [b"HEAD http://hub.acme.invalid/ HTTP/1.1\r\n"]
