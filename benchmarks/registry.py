"""Pushing and pulling a 30 MB adapter, against plain huggingface_hub doing the same with the same fake Hub.

The fake Hub of the tests runs in a process of its own on the loopback, with Xet switched off for both. Plain is
`create_repo`, `upload_folder`, `create_tag`, and `snapshot_download` at a commit; ours does that, verifies what leaves
and what arrives, and looks for the digest first. Rounds of both take turns, each with files that the Hub has not seen.
`python -m benchmarks.registry [--rounds N]`
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks._stand_in import served

ROOT = Path(__file__).resolve().parents[1]
_HUB = """
import sys
from fakes.hub import FakeHub
with FakeHub() as hub:
    print(hub.url, flush=True)
    sys.stdin.read()
    print(hub.complaints, file=sys.stderr if hub.complaints else open("/dev/null", "w"))
"""
_TOKEN = "hf_writerwriter"  # noqa: S105 - the fake Hub's
_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj")
_WIDTHS = {"q_proj": (3584, 3584), "k_proj": (3584, 512), "v_proj": (3584, 512), "o_proj": (3584, 3584)}
_RANK, _LAYERS = 16, 20


def weights(seed: int) -> bytes:
    """A safetensors file of 29 MB: a rank-16 adapter of the attention of a 7B base, 20 of its layers."""
    header: dict[str, object] = {}
    at = 0
    for layer in range(_LAYERS):
        for module in _MODULES:
            wide, out = _WIDTHS[module]
            for half, shape in (("A", [_RANK, wide]), ("B", [out, _RANK])):
                name = f"base_model.model.model.layers.{layer}.self_attn.{module}.lora_{half}.weight"
                size = shape[0] * shape[1] * 4
                header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
                at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + random.Random(seed).randbytes(at)


def make(folder: Path, seed: int) -> Path:
    """A whole artifact with weights of its own."""
    from fakes.artifacts import facts, lora_config

    from takeover.adapter import write_adapter

    trainer = folder / f"trainer-{seed}"
    trainer.mkdir()
    (trainer / "adapter_model.safetensors").write_bytes(weights(seed))
    (trainer / "adapter_config.json").write_text(json.dumps(lora_config(_RANK, _MODULES)))
    made = write_adapter(
        weights=trainer / "adapter_model.safetensors",
        config=trainer / "adapter_config.json",
        out=folder / f"adapter-{seed}",
        facts=facts(),
    )
    shutil.rmtree(trainer)
    return made.path


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def push_plainly(folder: Path, name: str, tag: str) -> str:
    """What one writes with the library alone; the commit."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=os.environ["HF_ENDPOINT"], token=_TOKEN)
    api.create_repo(name, exist_ok=True)
    commit = str(api.upload_folder(repo_id=name, folder_path=folder, commit_message="Publish").oid)
    api.create_tag(name, tag=tag, revision=commit)
    return commit


def pull_plainly(name: str, commit: str, cache: Path) -> str:
    from huggingface_hub import snapshot_download

    return str(snapshot_download(name, revision=commit, cache_dir=cache, token=_TOKEN))


def rounds(folder: Path, count: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """(ours, plain) in seconds for each push, and for each pull. Which of the two begins changes every round."""
    from takeover.registry import parse_address, pull, push

    pushes: list[tuple[float, float]] = []
    pulls: list[tuple[float, float]] = []
    for number in range(count):
        adapters = [make(folder, seed) for seed in (2 * number, 2 * number + 1)]
        commits: dict[str, str] = {}

        def ours(path: Path = adapters[0], found: dict[str, str] = commits) -> None:
            found["ours"] = str(push(path, parse_address("hf://acme/ours")).commit)

        def plain(path: Path = adapters[1], found: dict[str, str] = commits, tag: str = f"v{number}") -> None:
            found["plain"] = push_plainly(path, "acme/plain", tag)

        order = (ours, plain) if number % 2 else (plain, ours)
        times = {call: seconds(call) for call in order}
        pushes.append((times[ours], times[plain]))

        def ours_again(found: dict[str, str] = commits) -> None:
            pull(parse_address(f"hf://acme/ours@{found['ours']}"))

        def plain_again(found: dict[str, str] = commits) -> None:
            pull_plainly("acme/plain", found["plain"], folder / "plain-cache")

        times = {
            call: seconds(call) for call in ((ours_again, plain_again) if number % 2 else (plain_again, ours_again))
        }
        pulls.append((times[ours_again], times[plain_again]))
        for path in adapters:
            shutil.rmtree(path)
    return pushes, pulls


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.registry", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    wanted = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    with served(_HUB) as url, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ.update(
            HF_ENDPOINT=url,
            HF_HOME=str(folder / "hf"),
            HF_HUB_DISABLE_XET="1",
            HF_HUB_DISABLE_PROGRESS_BARS="1",
            HF_HUB_DISABLE_TELEMETRY="1",
            HF_TOKEN=_TOKEN,
            TAKEOVER_CACHE=str(folder / "cache"),
        )
        pushes, pulls = rounds(folder, wanted.rounds + 1)
    # The first round imports, and makes the repositories.
    report("push 30 MB vs huggingface_hub", pushes[1:])
    report("pull 30 MB vs huggingface_hub", pulls[1:])


def report(name: str, pairs: list[tuple[float, float]]) -> None:
    """One JSON line; the ratio is the median of the rounds' own, because a shared machine drifts between them."""
    row = {
        "name": name,
        "ours": round(median(ours for ours, _ in pairs) * 1000, 1),
        "bare": round(median(plain for _, plain in pairs) * 1000, 1),
        "ratio": round(median(ours / plain for ours, plain in pairs), 3),
        "unit": "ms",
        "command": "python -m benchmarks.registry",
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
