"""How the engine is started: vLLM, or SGLang. Every adapter is given from the start, so that ready means loaded.

Flags of vLLM: docs.vllm.ai/en/latest/cli/serve, features/lora, deployment/frameworks/lws; of SGLang:
docs.sglang.ai/advanced_features/server_arguments, .../lora (read 2026-11-25).
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from takeover.bases import BaseRef, parse_base
from takeover.kubernetes import names
from takeover.kubernetes.serving import Serving

__all__ = ["command", "environment", "served_base"]

Env = list[dict[str, Any]]


def served_base(serving: Serving) -> str:
    """The base's own name among the served models, and the label `model_name` of the engine's metrics.

    SGLang reads a colon as "base:adapter", so there it is the repository's name alone.
    """
    return serving.base if serving.options.engine == "vllm" else parse_base(serving.base).name


def command(serving: Serving, *, is_worker: bool = False) -> list[str]:
    """The whole command line; `is_worker` for the further nodes of a replica, which answer nobody."""
    base = parse_base(serving.base)
    return _vllm(serving, base, is_worker) if serving.options.engine == "vllm" else _sglang(serving, base)


def _vllm(serving: Serving, base: BaseRef, is_worker: bool) -> list[str]:
    options = serving.options
    revision = str(base.revision)
    return [
        *("vllm", "serve", base.name, "--revision", revision, "--tokenizer-revision", revision),
        *("--served-model-name", served_base(serving)),
        *("--host", "127.0.0.1", f"--port={names.ENGINE_PORT}"),
        *_paired(serving),
        *("--lora-modules", *(_lora_module(serving, index) for index in range(len(serving.models)))),
        f"--shutdown-timeout={options.drain_seconds}",
        "--disable-uvicorn-access-log",
        *(_group(options.nodes, is_worker) if options.nodes > 1 else ()),
    ]


def _paired(serving: Serving) -> list[str]:
    """One line for each flag, so that a change of one is one changed line. A layer stays within one node's GPUs."""
    flags = serving.flags
    within = replace(flags, tensor_parallel_size=min(flags.tensor_parallel_size, serving.options.gpus))
    paired: list[str] = []
    for part in within.arguments():
        if part.startswith("--"):
            paired.append(part)
        else:
            paired[-1] += f"={part}"
    return paired


def _lora_module(serving: Serving, index: int) -> str:
    model = serving.models[index]
    module = {
        "name": names.lora_name(model),
        "path": str(names.adapter_folder(model.digest)),
        "base_model_name": served_base(serving),
    }
    return json.dumps(module)


def _group(nodes: int, is_worker: bool) -> tuple[str, ...]:
    """The layers are dealt out over the nodes, each layer over one node's GPUs; LWS sets the variables."""
    return (
        f"--pipeline-parallel-size={nodes}",
        "--distributed-executor-backend=mp",
        *(f"--nnodes={nodes}", "--node-rank=$(LWS_WORKER_INDEX)", "--master-addr=$(LWS_LEADER_ADDRESS)"),
        *(("--headless",) if is_worker else ()),
    )


def _sglang(serving: Serving, base: BaseRef) -> list[str]:
    flags = serving.flags
    paths = (f"{names.lora_name(model)}={names.adapter_folder(model.digest)}" for model in serving.models)
    return [
        *("python3", "-m", "sglang.launch_server", "--model-path", base.name, "--revision", str(base.revision)),
        *("--served-model-name", served_base(serving)),
        *("--host", "127.0.0.1", f"--port={names.ENGINE_PORT}"),
        *(
            "--enable-lora",
            f"--max-lora-rank={flags.max_lora_rank}",
            f"--max-loras-per-batch={max(flags.max_loras, 1)}",
        ),
        f"--context-length={flags.max_model_len}",
        f"--max-running-requests={flags.max_num_seqs}",
        f"--tp-size={flags.tensor_parallel_size}",
        "--enable-metrics",
        # SGLang takes its key from the command line only; Kubernetes puts the Secret's value there.
        "--api-key=$(TAKEOVER_API_KEY)",
        *("--lora-paths", *paths),
    ]


def environment(serving: Serving) -> Env:
    """Caches go to the volume, as the root is read-only; PyTorch asks for a user's name, and the image has none."""
    cache = names.CACHE
    plain = {
        "HOME": str(cache),
        "USER": "takeover",
        "HF_HOME": str(cache / "huggingface"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "XDG_CACHE_HOME": str(cache / "xdg"),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "torchinductor"),
        "TRITON_CACHE_DIR": str(cache / "triton"),
    }
    if serving.options.engine == "vllm":
        plain |= {"VLLM_CACHE_ROOT": str(cache / "vllm"), "VLLM_NO_USAGE_STATS": "1"}
    return [*variables(plain), *secrets(serving)]


def variables(plain: dict[str, str]) -> Env:
    """Plain variables as Kubernetes lists them."""
    return [{"name": name, "value": value} for name, value in plain.items()]


def secrets(serving: Serving) -> Env:
    """The API key and the Hub's token by reference, and the Hub's address where it is another."""
    options = serving.options
    key = "VLLM_API_KEY" if options.engine == "vllm" else "TAKEOVER_API_KEY"
    return [_from_secret(key, options.api_key_secret or names.key_secret(serving.name), names.API_KEY), *hub(serving)]


def hub(serving: Serving) -> Env:
    """How the Hub is reached: its token by reference, its address where it is a mirror."""
    options = serving.options
    by_store = options.external_secret is not None and options.external_secret.hub_token is not None
    token = options.hub_token_secret or (names.hub_secret(serving.name) if by_store else None)
    return [
        *([_from_secret("HF_TOKEN", token, names.HUB_ENTRY)] if token else []),
        *(variables({"HF_ENDPOINT": options.hub_endpoint}) if options.hub_endpoint else []),
    ]


def _from_secret(variable: str, secret: str, key: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
