"""The engine in the container: vLLM as a process on the loopback, and its sleep around a memory snapshot.

Flags of vLLM 0.33: docs.vllm.ai/en/latest/cli/serve, .../features/lora, .../features/sleep_mode (read 2026-11-25). The
order start, warm up, sleep, snapshot, wake is Modal's (modal-labs/modal-examples, llm-serving/lfm_snapshot.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from takeover.errors import VendorError
from takeover.modal_contract import ContainerSettings

__all__ = ["Engine", "Launch", "build_vllm_launch"]

PORT = 8000
_LOOK_EVERY_S = 0.25
_ASK_S = 120.0
_STOP_S = 20.0
# vLLM keeps so many adapters on the GPU at most; more are swapped in as they are asked for.
_MOST_SLOTS = 8


@dataclass(frozen=True)
class Launch:
    """What to run, where it will answer (`http://127.0.0.1:8000`), and what it wants to be sent with each request."""

    command: tuple[str, ...]
    root: str
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def build_vllm_launch(settings: ContainerSettings, base: Path, adapters: Mapping[str, Path]) -> Launch:
    """vLLM with every adapter loaded from the start: what is served never changes in a running container. Pure.

    It listens on the loopback alone and asks for no key: serving/container/app.py stands before it.
    """
    gpus = settings.gpu.rpartition(":")[2] if ":" in settings.gpu else "1"
    context = ("--max-model-len", str(settings.context_length)) if settings.context_length else ()
    command = (
        *("vllm", "serve", str(base), "--served-model-name", settings.base),
        *("--host", "127.0.0.1", "--port", str(PORT)),
        *("--max-num-seqs", str(settings.max_concurrent_inputs), "--tensor-parallel-size", gpus),
        *context,
        *(("--enable-sleep-mode",) if settings.snapshot else ()),
        *("--enable-lora", "--max-lora-rank", str(settings.largest_rank)),
        *("--max-loras", str(min(len(adapters), _MOST_SLOTS)), "--max-cpu-loras", str(len(adapters))),
        *("--lora-modules", *(f"{name}={path}" for name, path in adapters.items())),
    )
    # The sleep routes exist in development mode only; more compile threads break snapshots (Modal's guide on them).
    sleep = {"VLLM_SERVER_DEV_MODE": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"} if settings.snapshot else {}
    return Launch(command, f"http://127.0.0.1:{PORT}", {"VLLM_NO_USAGE_STATS": "1", **sleep})


class Engine:
    """A running engine. Its output is the container's, so that the vendor's log has it."""

    def __init__(self, launch: Launch) -> None:
        self.root = launch.root
        self.headers = launch.headers
        self._process = subprocess.Popen(
            launch.command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stdout.fileno(),
            stderr=sys.stderr.fileno(),
            env={**os.environ, **launch.environment},
        )

    def wait_ready(self, timeout_s: float) -> None:
        """Return when it answers; VendorError when it ends or takes longer."""
        give_up_at = time.monotonic() + timeout_s
        while not self._answers():
            code = self._process.poll()
            if code is not None:
                raise VendorError(f"the engine ended with exit code {code} while it started", fix="See the log above.")
            if time.monotonic() > give_up_at:
                raise VendorError(f"the engine was not ready within {timeout_s:g} s", fix="Raise the startup timeout.")
            time.sleep(_LOOK_EVERY_S)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.root}/health", timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def warm_up(self, models: Iterable[str]) -> None:
        """Ask each adapter a first question, so that none pays for it later; VendorError when one does not answer."""
        for model in models:
            body = {"model": model, "prompt": "Hello", "max_tokens": 1, "temperature": 0}
            self._post("/v1/completions", f"{model} was loaded and does not answer", json=body)

    def sleep(self) -> None:
        """Weights to the processor's memory, the cache dropped: what a snapshot then holds is small."""
        self._post("/sleep?level=1", "the engine cannot sleep", fix="Write takeover:modal.snapshot: off.")

    def wake(self) -> None:
        self._post("/wake_up", "the engine cannot wake")

    def _post(self, path: str, happened: str, *, json: Mapping[str, object] | None = None, fix: str = "") -> None:
        try:
            answer = httpx.post(f"{self.root}{path}", json=json, headers=self.headers, timeout=_ASK_S, trust_env=False)
        except httpx.HTTPError as error:
            raise VendorError(happened, why=type(error).__name__, fix=fix) from None
        if answer.status_code != 200:
            raise VendorError(happened, why=f"HTTP {answer.status_code}: {answer.text[:400]}", fix=fix)

    def stop(self) -> None:
        """SIGTERM, so that running answers end; SIGKILL after a while."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
