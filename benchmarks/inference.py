"""A provider's own time for `inference`, against raw httpx: the same request to the same stub on the loopback.

Raw is what a program without this project writes: `async with httpx.AsyncClient()`, one request, the text out of the
JSON. Rounds of both take turns. `python -m benchmarks.inference [--rounds N] [--calls N]`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from statistics import median

import httpx
from pydantic import SecretStr

from benchmarks._stand_in import served
from takeover.providers import provider_for
from takeover.providers._base import Endpoint

_KEY, _MODEL = "stub-key-7f3a", "support-tone@3fa9c1d20b77"
_STUB = """
import sys
from fakes.openai_stub import OpenAIStub
with OpenAIStub() as stub:
    print(stub.url, flush=True)
    sys.stdin.read()
"""
_QUESTION = "Where is my parcel?"


async def seconds(ask: Callable[[], Awaitable[str]], calls: int) -> float:
    """Seconds for one call, the mean of a round."""
    began = time.perf_counter()
    for _ in range(calls):
        await ask()
    return (time.perf_counter() - began) / calls


async def rounds_of(url: str, rounds: int, calls: int) -> list[tuple[float, float]]:
    """Ours and raw, in turns."""
    provider = provider_for("local")
    endpoint = Endpoint(
        id="x", name="x", provider="local", url=url, models=(_MODEL,), api_key=SecretStr(_KEY), replicas_ready=1
    )
    body = {"model": _MODEL, "messages": [{"role": "user", "content": _QUESTION}], "max_tokens": 32}

    async def ours() -> str:
        return await provider.inference(endpoint, _QUESTION, max_tokens=32)

    certificates = httpx.create_ssl_context()

    async def raw() -> str:
        async with httpx.AsyncClient(trust_env=False, verify=certificates) as client:
            headers = {"Authorization": f"Bearer {_KEY}"}
            answer = await client.post(f"{url}/chat/completions", json=body, headers=headers, timeout=60)
        return str(answer.raise_for_status().json()["choices"][0]["message"]["content"])

    assert await ours() == await raw()
    return [(await seconds(ours, calls), await seconds(raw, calls)) for _ in range(rounds)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--calls", type=int, default=50, help="in each round, of each")
    wanted = parser.parse_args()
    with served(_STUB) as url:
        pairs = asyncio.run(rounds_of(url, wanted.rounds, wanted.calls))
    ours, raw = (median(side) * 1000 for side in zip(*pairs, strict=True))
    row = {
        "name": "inference vs raw httpx",
        "ours": round(ours, 3),
        "bare": round(raw, 3),
        "ratio": round(median(mine / theirs for mine, theirs in pairs), 3),
        "unit": "ms a call",
        "command": "python -m benchmarks.inference",
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
