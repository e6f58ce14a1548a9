"""A pod of real parts, without a cluster: fetch, vLLM with the flags of the manifest, nginx before it; and its end.

As tests/dedicated_vllm/real_vllm.py: TAKEOVER_VLLM_PYTHON names a Python with vLLM. Two minutes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes.artifacts import make_adapter
from gate_ground import Gate, free_port, gate
from kube_servings import BASE, GIVEN, Given

from takeover.adapter import Adapter
from takeover.bases import parse_base
from takeover.bases.materialise import materialise
from takeover.kubernetes import names
from takeover.kubernetes._engine import command
from takeover.kubernetes._fetch import script

PYTHON = os.environ.get("TAKEOVER_VLLM_PYTHON", "")
WHY_NOT = "TAKEOVER_VLLM_PYTHON names no Python with vLLM (tests/dedicated_vllm/real_vllm.py says how to get one)"
KEY = "a-key-of-this-test-0123456789"
PATIENCE_S = 300
REQUESTS = 50

pytestmark = [
    pytest.mark.real_vllm,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not PYTHON, reason=WHY_NOT),
]


def on_this_machine(given: Given, base: Path, adapters: Path, port: int) -> list[str]:
    """The container's own command, but for what a pod has and this machine has not: the image, its paths, a GPU."""
    program, serve, name, *rest = command(given.serving())
    assert (program, serve, name) == ("vllm", "serve", "meta-llama/Llama-3.1-8B-Instruct")
    for flag in ("--revision", "--tokenizer-revision"):
        at = rest.index(flag)
        del rest[at : at + 2]
    here = [part.replace(str(names.ADAPTERS), str(adapters)) for part in rest]
    here = [f"--port={port}" if part.startswith("--port=") else part for part in here]
    return [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", str(base), "--dtype=float32", *here]


@dataclass
class Pod:
    """Its two processes; `engine` is the container's first process, which Kubernetes sends SIGTERM."""

    engine: subprocess.Popen[bytes]
    gate: Gate
    folder: Path

    def ask(self, path: str, port: int = names.GATE_PORT, **headers: str) -> httpx.Response:
        return httpx.get(f"{self.gate.url(port)}{path}", headers=headers, trust_env=False, timeout=30)

    def is_ready(self) -> bool:
        return self.ask("/health", names.METRICS_PORT).status_code == 200

    def wait(self) -> bool:
        """Whether it became ready; False when the engine ended before."""
        give_up_at = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up_at and self.engine.poll() is None:
            if self.is_ready():
                return True
            time.sleep(0.5)
        return False

    @property
    def log(self) -> str:
        return (self.folder / "engine.log").read_text()[-4000:]


def fetch(adapter: Adapter, given: Given, into: Path, port: int) -> int:
    wanted = [{"name": "tone", "source": f"http://127.0.0.1:{port}", "digest": given.models[0].digest}]
    program = into.parent / "fetch_adapter.py"
    program.write_text(script())
    environment = {"TAKEOVER_ADAPTERS": json.dumps(wanted), "TAKEOVER_INTO": str(into), "PATH": os.environ["PATH"]}
    return subprocess.run([sys.executable, "-I", "-B", str(program)], env=environment, timeout=60).returncode


@contextmanager
def files_of(adapter: Adapter) -> Iterator[int]:
    port = free_port()
    server = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "-d", str(adapter.path)]
    process = subprocess.Popen(server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
                break
            except httpx.HTTPError:
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def pod(nginx: str, given: Given, adapters: Path, folder: Path) -> Iterator[Pod]:
    port = free_port()
    environment: Mapping[str, str] = os.environ | {
        "VLLM_API_KEY": KEY,
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    base = materialise(parse_base("tiny")).path
    with (folder / "engine.log").open("wb") as log, gate(nginx, given.serving(), folder, port) as before:
        engine = subprocess.Popen(
            on_this_machine(given, base, adapters, port),
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield Pod(engine, before, folder)
        finally:
            if engine.poll() is None:
                os.killpg(engine.pid, signal.SIGKILL)
            engine.wait(20)


@pytest.fixture
def adapter(tmp_path: Path) -> Adapter:
    return make_adapter(tmp_path / "tone", name="tone", rank=4)


def given_for(adapter: Adapter, **options: Any) -> Given:
    model = adapter.trained_model().model_copy(update={"base": BASE, "source": "https://adapters.example/tone"})
    told = {"monitoring": "none", "contextLength": 512, "concurrency": 16, "drainSeconds": 60, **options}
    return replace(GIVEN["minimal"], options=told, models=(model,))


async def one_answer(client: httpx.AsyncClient, url: str, model: str, number: int) -> tuple[int, str]:
    """Status and why it ended; every second answer is a stream, which must have its last line."""
    is_stream = number % 2 == 1
    body = {"model": model, "prompt": f"question {number}", "max_tokens": 400, "ignore_eos": True, "stream": is_stream}
    answer = await client.post(f"{url}/v1/completions", json=body, headers={"Authorization": f"Bearer {KEY}"})
    if answer.status_code != 200:
        return answer.status_code, answer.text
    lines = [line for line in answer.text.splitlines() if line] if is_stream else [answer.text, "data: [DONE]"]
    assert lines[-1] == "data: [DONE]", lines[-1]
    return 200, json.loads(lines[-2].removeprefix("data: "))["choices"][0]["finish_reason"]


def running(found: Pod) -> float:
    text = found.ask("/metrics", names.METRICS_PORT).text
    [line] = [line for line in text.splitlines() if line.startswith("vllm:num_requests_running{")]
    assert f'model_name="{BASE}"' in line
    return float(line.rpartition(" ")[2])


def wait_until_busy(found: Pod) -> None:
    while running(found) < REQUESTS * 0.8:
        time.sleep(0.05)


async def end_while_it_answers(found: Pod, model: str) -> list[tuple[int, str]]:
    """SIGTERM once the engine works at most of the requests."""
    limits = httpx.Limits(max_connections=REQUESTS)
    async with httpx.AsyncClient(timeout=120, trust_env=False, limits=limits) as client:
        asked = [asyncio.create_task(one_answer(client, found.gate.url(), model, each)) for each in range(REQUESTS)]
        await asyncio.to_thread(wait_until_busy, found)
        assert not any(each.done() for each in asked)
        found.engine.send_signal(signal.SIGTERM)
        return await asyncio.gather(*asked)


def test_a_pod_answers_what_is_listed_and_ends_without_losing_a_request(
    nginx: str, adapter: Adapter, tmp_path: Path
) -> None:
    given, adapters = given_for(adapter), tmp_path / "adapters"
    with files_of(adapter) as port:
        assert fetch(adapter, given, adapters, port) == 0
    with pod(nginx, given, adapters, tmp_path) as found:
        assert found.wait(), found.log
        assert found.ask("/v1/models").status_code == 401
        listed = found.ask("/v1/models", Authorization=f"Bearer {KEY}").json()["data"]
        assert [each["id"] for each in listed] == [BASE, adapter.served_name]
        assert found.ask("/health").status_code == 200
        assert [found.ask(path).status_code for path in ("/metrics", "/version", "/docs")] == [404] * 3
        assert found.gate.ask_raw("GET", "/metrics/../v1/models") == 401
        assert found.gate.ask_raw("POST", "/invocations") == 404
        assert found.gate.ask_raw("POST", "/invocations", names.METRICS_PORT) == 404
        answers = asyncio.run(end_while_it_answers(found, adapter.served_name))
        assert answers == [(200, "length")] * REQUESTS
        assert found.engine.wait(60) == 0
        assert not found.is_ready()


def test_a_pod_whose_adapter_is_another_one_never_becomes_ready(nginx: str, adapter: Adapter, tmp_path: Path) -> None:
    given, adapters = given_for(adapter), tmp_path / "adapters"
    other = replace(given, models=(given.models[0].model_copy(update={"digest": f"sha256:{'0' * 64}"}),))
    with files_of(adapter) as port:
        assert fetch(adapter, other, adapters, port) == 1
    # Kubernetes would not even start the engine now; and should it be started, it ends.
    with pod(nginx, other, adapters, tmp_path) as found:
        assert not found.wait()
        assert found.engine.wait(60) != 0
        assert not found.is_ready()
