"""A container's life: find what the volumes hold, start the engine, warm it up, sleep and wake, and open the door."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import psutil
from pydantic import SecretStr

from serving.container.cold_start import ColdStart
from serving.container.engine import Launch
from serving.container.store import adapter_paths, base_folder, read_key
from takeover.errors import VendorError
from takeover.modal_contract import ContainerSettings

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["Build", "bring_up", "guarded", "launch_of", "wake_up"]

# Copying the weights back takes seconds; what takes longer than this does not wake at all.
_WAKE_S = 60.0

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
    def stop(self) -> None: ...


EngineT = TypeVar("EngineT", bound=_Engine)


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


def wake_up(
    engine: EngineT, settings: ContainerSettings, cold: ColdStart, *, began_s: float, start_again: Callable[[], EngineT]
) -> EngineT:
    """After a restore, or right after the snapshot was made: an engine that is ready again.

    One that does not wake is replaced by one that starts from nothing: slow once, in place of a container that fails
    again and again.
    """
    try:
        engine.wake()
        engine.wait_ready(_WAKE_S)
    except VendorError as error:
        print(f"the engine did not wake from its snapshot ({error}); starting it anew", file=sys.stderr, flush=True)
        engine.stop()
        engine = start_again()
        engine.wait_ready(settings.startup_timeout_s)
        engine.warm_up([adapter.served_name for adapter in settings.served])
    cold.woke(began_s)
    return engine


def guarded(engine: _Engine, settings: ContainerSettings, cold: ColdStart, *, store: Path) -> Starlette:
    """The application over a ready engine, with the key that the volume holds."""
    from serving.container.app import create_app

    key = SecretStr(read_key(store, volume=settings.name))
    return create_app(engine.root, settings, key=key, cold=cold, headers=engine.headers)
