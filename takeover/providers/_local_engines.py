"""How the local tier's servers are started: command lines, built from the options. Pure.

`takeover` is our own (serving/local). `vllm` is vLLM's OpenAI server from a Python environment of the user's. Flags and
limits of vLLM are those of 0.33 (config/lora.py, config/vllm.py, docs/features/lora.md, read 2026-11).
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.settings import LocalOptions

__all__ = ["Launch", "build_takeover_launch", "build_vllm_launch", "server_command", "vllm_rank"]

# vLLM takes these as --max-lora-rank and nothing between; a larger one than needed wastes memory.
_VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)


@dataclass(frozen=True)
class Launch:
    """What to run. `command` is what makes two launches the same; `adapters` go after it and change at run time."""

    command: tuple[str, ...]
    adapters: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def started(self, command_line: Sequence[str]) -> bool:
        """Whether a running process was started by this launch; the interpreter's own path is no difference."""
        return tuple(command_line[1 : len(self.command)]) == self.command[1:]


def server_command(override: str | None) -> tuple[str, ...]:
    """Our own server's command; `override` ($TAKEOVER_LOCAL_SERVER) is for tests, which start a stand-in."""
    return tuple(shlex.split(override)) if override else (sys.executable, "-m", "serving.local")


def build_takeover_launch(
    server: Sequence[str],
    folder: Path,
    port: int,
    models: Sequence[TrainedModel],
    spec: EndpointSpec,
    options: LocalOptions,
) -> Launch:
    context = ("--context-length", str(options.context_length)) if options.context_length else ()
    command = (
        *server,
        *("--state-dir", str(folder)),
        *("--base", spec.base),
        *("--port", str(port)),
        *("--dtype", options.dtype),
        *("--max-batch", str(options.max_batch)),
        *("--max-queue", str(options.max_queue)),
        *("--drain-seconds", str(options.drain_seconds)),
        *context,
    )
    adapters = tuple(word for model in models for word in ("--adapter", f"{model.served_name}={model.path}"))
    return Launch(command, adapters)


def build_vllm_launch(
    python: str,
    base_path: Path,
    port: int,
    models: Sequence[TrainedModel],
    spec: EndpointSpec,
    options: LocalOptions,
    key: SecretStr,
) -> Launch:
    """The key goes through the environment: a command line is readable by every user of the machine.

    `max_loras` is twice what is served, so that a new version is loaded beside the old one.
    """
    slots = str(max(2, 2 * len(models)))
    context = ("--max-model-len", str(options.context_length)) if options.context_length else ()
    command = (
        *(python, "-m", "vllm.entrypoints.openai.api_server"),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--model", str(base_path), "--served-model-name", spec.base),
        *("--dtype", options.dtype, "--max-num-seqs", str(options.max_batch)),
        *("--enable-lora", "--max-lora-rank", str(vllm_rank(max(model.rank for model in models)))),
        *("--max-loras", slots, "--max-cpu-loras", slots),
        *("--shutdown-timeout", str(options.drain_seconds)),
        *context,
    )
    modules = tuple(f"{model.served_name}={model.path}" for model in models)
    environment = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "VLLM_API_KEY": key.get_secret_value()}
    return Launch(command, ("--lora-modules", *modules), environment)


def vllm_rank(rank: int) -> int:
    """The smallest rank that vLLM takes and that holds this one; `rank` is at most 512 (the tier's limit)."""
    return next(allowed for allowed in _VLLM_RANKS if allowed >= rank)
