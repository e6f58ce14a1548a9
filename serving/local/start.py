"""The slow part of the start: everything that needs torch."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from takeover.bases import BaseRef
from takeover.bases.materialise import materialise
from takeover.errors import Refusals, Refused

if TYPE_CHECKING:
    from serving.local.engine import Engine
    from serving.local.server import Options

__all__ = ["start_engine"]

log = logging.getLogger("takeover.serving")


def start_engine(options: Options, base: BaseRef, loop: asyncio.AbstractEventLoop) -> Engine:
    """The engine, ready to answer. Refused or Refusals for a base or for adapters that cannot be served.

    The imports (about 2.5 s) run beside the verification of base and adapters (about 1 s a GB), which mostly waits.
    """
    importing = threading.Thread(target=_import, daemon=True)
    importing.start()
    local = materialise(base, say=log.info)
    importing.join()
    from serving.local.answering import deliver_into
    from serving.local.engine import Engine, Limits
    from serving.local.load import load_base

    loaded = load_base(local.path, dtype=options.dtype, context_length=options.context_length)
    engine = Engine(local, loaded, Limits(options.max_batch, options.max_queue), partial(deliver_into, loop))
    _serve_adapters(engine, options)
    return engine


def _import() -> None:
    """What fails here fails again, with its message, where it is needed."""
    with suppress(ImportError):
        import_module("serving.local.engine")


def _serve_adapters(engine: Engine, options: Options) -> None:
    mistakes = []
    for name, path in options.adapters:
        try:
            engine.shelf.put(engine.new_entry(name, path))
        except Refused as refused:
            mistakes.append(refused)
    Refusals.raise_if_any("adapters that cannot be served", mistakes)
