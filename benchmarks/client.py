"""The client's own time for a call, against the raw OpenAI SDK: the same request to the same stub on the loopback.

The stub runs in a process of its own and answers at once, so that what is left is the clients' work. Rounds of both
take turns, and the medians of the rounds are compared. `python -m benchmarks.client [--rounds N] [--calls N]`
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks._stand_in import served

_STUB = """
import sys
from fakes.openai_stub import OpenAIStub
with OpenAIStub() as stub:
    print(stub.url, flush=True)
    sys.stdin.read()
"""


def seconds(call: Callable[[], object], calls: int) -> float:
    """Seconds for one call, the mean of a round."""
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - began) / calls


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.client", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--calls", type=int, default=50, help="in each round, of each client")
    wanted = parser.parse_args()

    import openai
    from pydantic import SecretStr

    from takeover import Client
    from takeover.outputs import example, save_outputs

    with served(_STUB) as url, tempfile.TemporaryDirectory() as folder:
        key = "stub-key-7f3a"
        outputs = example().model_copy(update={"url": url, "api_key": SecretStr(key)})
        save_outputs(Path(folder) / "endpoint.json", outputs)
        ours = Client.from_file(Path(folder) / "endpoint.json")
        bare = openai.OpenAI(base_url=url, api_key=key, http_client=openai.DefaultHttpxClient(trust_env=False))
        turns: list[Any] = [{"role": "user", "content": "Where is my parcel?"}]

        def ask_ours() -> str:
            return ours.chat(turns, max_tokens=32).text

        def ask_bare() -> str | None:
            reply = bare.chat.completions.create(model=outputs.model, messages=turns, max_tokens=32)
            return reply.choices[0].message.content

        assert ask_ours() == ask_bare()
        rounds = [(seconds(ask_ours, wanted.calls), seconds(ask_bare, wanted.calls)) for _ in range(wanted.rounds)]
    report([ours for ours, _ in rounds], [bare for _, bare in rounds])


def report(ours: list[float], bare: list[float]) -> None:
    """One JSON line; the ratio is the median of the rounds' own, because a shared machine drifts between them."""
    row = {
        "name": "client call vs openai SDK",
        "ours": round(median(ours) * 1000, 3),
        "bare": round(median(bare) * 1000, 3),
        "ratio": round(median(mine / theirs for mine, theirs in zip(ours, bare, strict=True)), 3),
        "unit": "ms a call",
        "command": "python -m benchmarks.client",
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
