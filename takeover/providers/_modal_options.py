"""What a stack asks of Modal, as the settings of a container. Pure; all mistakes at once, before anything is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from takeover.bases import cache_dir, parse_base
from takeover.errors import Refusals, Refused
from takeover.modal_contract import AdapterRef, ContainerSettings
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.providers._local_engines import vllm_rank
from takeover.settings import ModalOptions

__all__ = ["build_settings", "cached_adapter", "parse_options"]

_WHERE = "takeover:modal"


def parse_options(options: Mapping[str, Any]) -> ModalOptions:
    """The options with their defaults; Refusals with every wrong one."""
    try:
        return ModalOptions.model_validate(dict(options))
    except ValidationError as error:
        mistakes = [_mistake(dict(found)) for found in error.errors()]
        raise Refusals("the options of Modal", mistakes) from None


def _mistake(found: Mapping[str, Any]) -> Refused:
    path = ".".join(str(part) for part in ("spec", "options", *found["loc"]))
    return Refused(str(found["msg"]), fix=f"docs/settings.md lists what `{_WHERE}` takes.", where=path)


def build_settings(
    models: Sequence[TrainedModel], spec: EndpointSpec, *, root: Path | None = None
) -> ContainerSettings:
    """The container's settings; Refusals with all that Modal cannot do. The caller has checked `require_deployable`.

    Folders below `root` are written relative to it, and what the cache holds by its digest alone: then the settings are
    the same on every machine.
    """
    options = parse_options(spec.options)
    Refusals.raise_if_any("what is asked of Modal", list(_mistakes(spec, options)))
    return ContainerSettings(
        name=spec.name,
        base=spec.base,
        adapters=tuple(_adapter(model, root) for model in models),
        largest_rank=vllm_rank(max(model.rank for model in models)),
        gpu=options.gpu,
        min_containers=spec.min_replicas,
        max_containers=spec.max_replicas,
        buffer_containers=options.buffer_containers,
        scaledown_window_s=options.scaledown_window_seconds,
        max_concurrent_inputs=options.max_concurrent_inputs,
        regions=options.regions,
        startup_timeout_s=options.startup_timeout_seconds,
        request_timeout_s=options.request_timeout_seconds,
        snapshot=options.snapshot == "on" or (options.snapshot == "auto" and _gpu_count(options.gpu) == 1),
        secrets=options.secrets,
        bases_volume=options.bases_volume,
        vllm_version=options.vllm,
        context_length=options.context_length,
        labels=dict(spec.labels),
    )


def _gpu_count(gpu: str) -> int:
    return int(gpu.partition(":")[2] or 1)


def _mistakes(spec: EndpointSpec, options: ModalOptions) -> Iterator[Refused]:
    if parse_base(spec.base).kind == "folder":
        yield Refused(
            f"Modal cannot reach the base {spec.base}",
            why="It is a folder on this machine.",
            fix="Train on a base of the Hub (hub:org/name@<commit>), which its containers fetch themselves.",
        )
    if options.snapshot == "on" and _gpu_count(options.gpu) > 1:
        yield Refused(
            f"{_WHERE}.snapshot is on, but {_WHERE}.gpu is {options.gpu}",
            why="Modal: GPU memory snapshots are not supported for functions with more than one GPU.",
            fix="Write snapshot: auto (off for several GPUs), or choose one larger GPU.",
            where=f"{_WHERE}.snapshot",
        )


def _adapter(model: TrainedModel, root: Path | None) -> AdapterRef:
    return AdapterRef(name=model.name, digest=model.digest, source=_source(model, root))


def _source(model: TrainedModel, root: Path | None) -> str:
    path = Path(model.path)
    if path == cached_adapter(model.digest):
        return ""
    if root is not None and path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return str(path)


def cached_adapter(digest: str) -> Path:
    """Where a pulled adapter lies on this machine (takeover.registry)."""
    return cache_dir() / "adapters" / digest.removeprefix("sha256:")
