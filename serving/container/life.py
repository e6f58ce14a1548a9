"""A container's life: find what the volumes hold, start the engine, warm it up, sleep and wake, and open the door."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import psutil
from pydantic import SecretStr

from serving.container.cold_start import ColdStart
from serving.container.engine import Launch
from serving.container.store import adapter_paths, base_folder, read_key
from takeover.modal_contract import ContainerSettings

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["Build", "bring_up", "guarded", "launch_of", "wake_up"]

Build = Callable[[ContainerSettings, Path, Mapping[str, Path]], Launch]


class _Engine(Protocol):
    @property
    def root(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    def wait_ready(self, timeout_s: float) -> None: ...
    def warm_up(self, models: list[str]) -> None: ...
    def sleep(self) -> None: ...
    def wake(self) -> None: ...


def launch_of(settings: ContainerSettings, build: Build, *, store: Path, bases: Path) -> Launch:
    """The engine's command, over what the volumes hold; Refused when they lost it."""
    base = base_folder(settings.base, bases, volume=settings.bases_volume)
    return build(settings, base, adapter_paths(settings.served, store, volume=settings.name))


def bring_up(engine: _Engine, settings: ContainerSettings, cold: ColdStart) -> None:
    """Wait until the engine answers for every adapter; then, where a snapshot follows, put it to sleep."""
    engine.wait_ready(settings.startup_timeout_s)
    engine.warm_up([adapter.served_name for adapter in settings.served])
    cold.started(psutil.Process().create_time())
    if settings.snapshot:
        engine.sleep()


def wake_up(engine: _Engine, settings: ContainerSettings, cold: ColdStart, *, began_s: float) -> None:
    """After a restore, or right after the snapshot was made: ready again."""
    engine.wake()
    engine.wait_ready(settings.startup_timeout_s)
    cold.woke(began_s)


def guarded(engine: _Engine, settings: ContainerSettings, cold: ColdStart, *, store: Path) -> Starlette:
    """The application over a ready engine, with the key that the volume holds."""
    from serving.container.app import create_app

    key = SecretStr(read_key(store, volume=settings.name))
    return create_app(engine.root, settings, key=key, cold=cold, headers=engine.headers)
