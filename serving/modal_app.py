"""The endpoint on Modal, as `modal deploy serving/modal_app.py` takes it. Its settings come by environment variables.

Three machines import this file. Where it is deployed from, `prepare` sends what is missing to the volumes and makes the
key, once. In Modal's build, `fill_volumes` verifies the adapters there and fetches the base, once for each content. In
a container, `Endpoint` starts vLLM with all adapters, and a guard before it. (takeover/modal_contract.py is the
contract; facts on Modal: PyPI modal 1.6.4, modal.com/docs/guide/{memory-snapshots,gpu}.md, read 2026-11-25.)
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import modal

from takeover.errors import TakeoverError
from takeover.modal_contract import (
    BASES,
    REFUSED,
    STORE,
    AdapterRef,
    container_environment,
    parse_container_settings,
)

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from serving.container.engine import Engine

_MINUTE = 60
_BUILD_LIMIT_S = 60 * _MINUTE

settings = parse_container_settings(os.environ)
store = modal.Volume.from_name(settings.name, create_if_missing=True)
bases = modal.Volume.from_name(settings.bases_volume, create_if_missing=True)
volumes: dict[str | PurePosixPath, modal.Volume | modal.CloudBucketMount] = {STORE: store, BASES: bases}
tags: dict[str, str] = {}
# Beside its arguments the build's function depends on these: new volumes are filled, though nothing else changed.
volume_ids: tuple[str, ...] = ()
source: Path | None = None

if modal.is_local():
    from takeover.providers._modal_prepare import prepare
    from takeover.providers._modal_source import stage_source

    try:
        prepared = prepare(settings, store=store, bases=bases)
    except TakeoverError as error:
        sys.exit(f"{REFUSED} {error}")
    settings, tags, volume_ids = prepared.settings, prepared.tags, prepared.volume_ids
    source = stage_source()

environment: dict[str, str | None] = {**container_environment(settings)}
secrets = [modal.Secret.from_name(name) for name in settings.secrets]


def fill_volumes(base: str, adapters: list[dict[str, str]], ids: list[str]) -> None:
    """Runs in Modal's build: once for these arguments, so once for each base, digest and volume (`ids`)."""
    from serving.container.store import fill

    refs = [AdapterRef.model_validate(adapter) for adapter in adapters]
    fill(base, refs, store=Path(str(STORE)), bases=Path(str(BASES)), say=lambda text: print(text, flush=True))


# vLLM's own image, with CUDA's tools for what it compiles; gguf is for bases out of a Python package.
engine_image = (
    modal.Image.from_registry(f"vllm/vllm-openai:v{settings.vllm_version}")
    .entrypoint([])
    .run_commands("command -v python || ln -s $(command -v python3) /usr/bin/python")
    .uv_pip_install("gguf>=0.17", "psutil>=6.0", "filelock>=3.16")
    .env({"TAKEOVER_CACHE": str(BASES), "HF_HUB_CACHE": str(BASES / "hub"), "HF_XET_HIGH_PERFORMANCE": "1"})
)
# In a container there is no source to send, and what is declared here is not looked at again.
app_image = engine_image if source is None else engine_image.add_local_dir(source, "/root", copy=True)
filled_image = app_image.run_function(
    fill_volumes,
    args=(
        settings.base,
        [{"name": adapter.name, "digest": adapter.digest} for adapter in settings.served],
        list(volume_ids),
    ),
    env=environment,
    secrets=secrets,
    volumes=volumes,
    timeout=_BUILD_LIMIT_S,
)
app = modal.App(settings.name, tags=tags)


def new_engine() -> Engine:
    """Start vLLM in this container, with all that the volumes hold for it."""
    from serving.container.engine import Engine, build_vllm_launch
    from serving.container.life import launch_of

    return Engine(launch_of(settings, build_vllm_launch, store=Path(str(STORE)), bases=Path(str(BASES))))


@app.cls(
    image=filled_image,
    env=environment,
    secrets=secrets,
    volumes=volumes,
    gpu=settings.gpu,
    region=list(settings.regions) or None,
    min_containers=settings.min_containers,
    max_containers=settings.max_containers,
    buffer_containers=settings.buffer_containers,
    scaledown_window=settings.scaledown_window_s,
    timeout=settings.request_timeout_s,
    startup_timeout=settings.startup_timeout_s,
    enable_memory_snapshot=settings.snapshot,
    experimental_options={"enable_gpu_snapshot": True} if settings.snapshot else {},
)
@modal.concurrent(max_inputs=settings.max_concurrent_inputs)
class Endpoint:
    """vLLM and the guard before it. A snapshot holds all of `start`; a later start only wakes the engine."""

    @modal.enter(snap=settings.snapshot)
    def start(self) -> None:
        from serving.container.cold_start import ColdStart
        from serving.container.life import bring_up

        self.cold = ColdStart()
        self.engine = new_engine()
        bring_up(self.engine, settings, self.cold)

    @modal.enter(snap=False)
    def wake(self) -> None:
        from serving.container.life import wake_up

        if settings.snapshot:
            began_s = time.time()
            self.engine = wake_up(self.engine, settings, self.cold, began_s=began_s, start_again=new_engine)

    @modal.asgi_app()
    def web(self) -> Starlette:
        from serving.container.life import guarded

        return guarded(self.engine, settings, self.cold, store=Path(str(STORE)))

    @modal.exit()
    def stop(self) -> None:
        self.engine.stop()
