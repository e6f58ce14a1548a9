"""The slow part of the start: everything that needs torch."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from serving.local.checks import verified_adapter
from takeover.adapter import Adapter
from takeover.bases import BaseRef
from takeover.bases.materialise import LocalBase, materialise, weight_bytes
from takeover.errors import Refusals, Refused

if TYPE_CHECKING:
    from serving.local.engine import Engine
    from serving.local.server import Options

__all__ = ["start_engine"]

log = logging.getLogger("takeover.serving")

# What fits a processor's cache, such as `tiny`, gains nothing from a second thread. On a busy machine it loses: threads
# that wait for each other at every layer made a token take 70 ms in place of 0.7.
_SMALL_BYTES = 32 * 2**20


def start_engine(options: Options, base: BaseRef, loop: asyncio.AbstractEventLoop) -> Engine:
    """The engine, ready to answer. Refused or Refusals for a base or for adapters that cannot be served.

    The imports (about 2.5 s) run beside the verification of base and adapters (about 1 s a GB), which mostly waits.
    """
    with _without_gc():
        importing = threading.Thread(target=_import, daemon=True)
        importing.start()
        local = materialise(base, say=log.info)
        adapters = _verified(options, local)
        importing.join()
        return _build(options, local, adapters, loop)


def _verified(options: Options, local: LocalBase) -> list[Adapter]:
    adapters, mistakes = [], []
    for name, path in options.adapters:
        try:
            adapters.append(verified_adapter(name, path, local))
        except Refused as refused:
            mistakes.append(refused)
    Refusals.raise_if_any("the adapters cannot be served", mistakes)
    return adapters


def _build(options: Options, local: LocalBase, adapters: list[Adapter], loop: asyncio.AbstractEventLoop) -> Engine:
    import torch

    from serving.local.answering import deliver_into
    from serving.local.engine import Engine, Limits
    from serving.local.load import load_base

    if weight_bytes(local.path) < _SMALL_BYTES:
        torch.set_num_threads(1)
    loaded = load_base(local.path, dtype=options.dtype, context_length=options.context_length)
    engine = Engine(local, loaded, Limits(options.max_batch, options.max_queue), partial(deliver_into, loop))
    for adapter in adapters:
        engine.shelf.put(engine.new_entry(adapter))
    return engine


@contextmanager
def _without_gc() -> Iterator[None]:
    """What the start makes stays for good: not looking for rubbish in it saves 0.5 of 3.7 s."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _import() -> None:
    """What fails here fails again, with its message, where it is needed."""
    with suppress(ImportError):
        import_module("serving.local.engine")
