"""Whether the vendors' hosts that a stack uses can be reached from here: a connection each, no request, no credential.

Where the environment names a proxy for a host, that is asked to reach it; Modal's client takes none.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from takeover.engine.doctor import Case, Level

__all__ = ["Host", "hosts_of", "look", "reason_of"]

_PATIENCE_S = 8.0
_OFFLINE = ("1", "ON", "YES", "TRUE")


@dataclass(frozen=True)
class Host:
    """`needed` where the stack cannot go up without it; `through_proxy` where whoever asks it uses the proxies."""

    url: str
    needed: bool
    through_proxy: bool = True

    @property
    def name(self) -> str:
        return urlsplit(self.url).hostname or self.url


def hosts_of(case: Case, environ: Mapping[str, str]) -> tuple[Host, ...]:
    """The hosts for this stack, or without one those whose variables are set; a server of one's own has its own check.

    The Hub is a note only: a stack of folders never asks it. AWS's hosts are those of its general reference
    (docs.aws.amazon.com/general/latest/gr, the pages sagemaker and eks).
    """
    return tuple(_hosts(case, environ))


def _hosts(case: Case, environ: Mapping[str, str]) -> Iterator[Host]:
    if environ.get("HF_HUB_OFFLINE", "").upper() not in _OFFLINE:
        yield Host(environ.get("HF_ENDPOINT") or "https://huggingface.co", needed=False)
    if case.needs("modal") or (case.tier is None and environ.get("MODAL_TOKEN_ID")):
        yield Host(environ.get("MODAL_SERVER_URL") or "https://api.modal.com", case.needs("modal"), through_proxy=False)
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    for row, service in (("sagemaker", "api.sagemaker"), ("dedicated-vllm/eks", "eks")):
        if region and case.needs(row):
            yield Host(environ.get("AWS_ENDPOINT_URL") or f"https://{service}.{region}.amazonaws.com", needed=True)


def look(case: Case) -> tuple[Level, str, str]:
    """All hosts at once: level, what was seen, what to do."""
    hosts = hosts_of(case, os.environ)
    if not hosts:
        return "good", "nothing of another's is needed", ""
    reasons = dict(zip(hosts, asyncio.run(_reach_all(hosts)), strict=True))
    reached = ", ".join(host.name for host, reason in reasons.items() if not reason)
    failed = "; ".join(f"{host.name} cannot be reached: {reason}" for host, reason in reasons.items() if reason)
    if not failed:
        return "good", f"{reached} can be reached", ""
    level: Level = "problem" if any(host.needed for host, reason in reasons.items() if reason) else "note"
    said = f"{failed}; {reached} can be reached" if reached else failed
    return level, said, "Look at the network, a proxy (HTTPS_PROXY) or a firewall; folders and tiny need none of it."


async def _reach_all(hosts: tuple[Host, ...]) -> list[str]:
    return await asyncio.gather(*(_reach(host) for host in hosts))


async def _reach(host: Host) -> str:
    """Empty when it was reached, else why not."""
    import httpx

    try:
        async with asyncio.timeout(_PATIENCE_S):
            if host.through_proxy and _has_proxy(host.url):
                async with httpx.AsyncClient(follow_redirects=False) as client:
                    await client.head(host.url)
            else:
                await _connect(host.url)
    except (OSError, httpx.HTTPError) as error:
        return reason_of(error)
    return ""


def _has_proxy(url: str) -> bool:
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    return parts.scheme in getproxies() and not proxy_bypass(parts.hostname or "")


async def _connect(url: str) -> None:
    parts = urlsplit(url)
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if secure else 80)
    _, writer = await asyncio.open_connection(parts.hostname, port, ssl=secure)
    writer.close()


def reason_of(error: BaseException) -> str:
    """Why a connection failed, in words. Pure."""
    if isinstance(error, TimeoutError):
        return f"no answer in {_PATIENCE_S:g} s"
    if isinstance(error, socket.gaierror):
        return "its name leads nowhere"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not trusted here (does a proxy read along?)"
    if isinstance(error, ConnectionRefusedError):
        return "the connection is refused"
    return f"the connection fails ({type(error).__name__})"
