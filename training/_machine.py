"""What this machine can do for a run: device, threads, memory. torch is imported only where a GPU may matter."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import psutil

from takeover.bases.materialise import require_memory
from takeover.errors import Refused
from training._rules import four_bit_needs_gpu
from training.config import TrainingConfig
from training.memory import ModelShape, memory_need

__all__ = ["available_memory", "choose_device", "choose_threads", "require_room"]

Device = Literal["cpu", "cuda"]


def choose_device(config: TrainingConfig) -> Device:
    """The device to train on. Refused when the config asks for what this machine does not have."""
    if config.device == "cpu":
        return "cpu"
    import torch

    if not torch.cuda.is_available():
        if config.device == "cuda":
            raise Refused(
                "there is no GPU that torch can use", fix="Use device: cpu, or train elsewhere.", where="device"
            )
        if config.quantization == "4bit":
            raise four_bit_needs_gpu("and there is no GPU here")
        return "cpu"
    if config.quantization == "4bit" and find_spec("bitsandbytes") is None:
        raise Refused("4-bit training needs the package bitsandbytes", fix="uv sync --group train --extra gpu")
    if config.dtype == "bfloat16" and not torch.cuda.is_bf16_supported():
        raise Refused("this GPU has no bfloat16", fix="Use dtype: float32.", where="dtype")
    return "cuda"


def choose_threads(config: TrainingConfig) -> int:
    """As many as this process may use, unless the config says."""
    return config.threads or len(os.sched_getaffinity(0))


def available_memory(device: Device) -> int:
    """Bytes free now: on the GPU, or of this machine and of the container's limit, if there is one."""
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    return min(psutil.virtual_memory().available, _container_room(Path("/sys/fs/cgroup")))


def _container_room(cgroup: Path) -> int:
    """What cgroup v2 leaves to this container; what only caches files can be taken back, so it counts as free."""
    unlimited = 2**63
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = int((cgroup / "memory.current").read_text())
        statistics = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        return unlimited if limit == "max" else int(limit) - used + int(statistics.get("inactive_file", 0))
    except (OSError, ValueError):
        return unlimited


def require_room(config: TrainingConfig, base: Path, device: Device, *, longest_row: int) -> str:
    """A sentence about the memory the run takes. Refused when not even weights, adapter and optimizer fit.

    `longest_row` is in tokens. The activations are an estimate: too little for those alone is said, not refused.
    """
    shape = ModelShape.from_config(json.loads((base / "config.json").read_text(encoding="utf-8")))
    if shape is None:
        require_memory(base, config.dtype)
        return "how much memory this kind of base needs for training is not known here"
    need = memory_need(shape, config, gpu=device == "cuda", longest_row=longest_row)
    free = available_memory(device)
    where = "on the GPU" if device == "cuda" else "on this machine"
    if need.fixed > free:
        raise Refused(
            f"no memory for the base: {need.fixed / 1e9:.1f} GB are needed before the first step, "
            f"{free / 1e9:.1f} GB are free {where}",
            why=f"In all: {need}.",
            fix="Close other programs, choose a smaller base, dtype: bfloat16, or a GPU with quantization: 4bit.",
        )
    if need.total > free:
        return (
            f"memory may not suffice: {need}, {free / 1e9:.1f} GB are free {where}; less batch_size or max_length helps"
        )
    return f"memory: about {need.total / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free {where}"
