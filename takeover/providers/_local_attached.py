"""A local endpoint on a server that somebody else runs: only our adapters there are ours."""

from __future__ import annotations

import os
from contextlib import suppress

from pydantic import SecretStr

from takeover.errors import AuthError, NotReady
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.providers._local_adapters import retire, serve_exactly
from takeover.providers._local_server import is_healthy
from takeover.providers._local_state import EndpointFolder, Record
from takeover.providers._openai import Server
from takeover.providers._progress import progress
from takeover.settings import LocalOptions

__all__ = ["deploy", "key", "leave"]

_VARIABLE = "LOCAL_ENGINE_API_KEY"


def key() -> SecretStr | None:
    """The other server's key, from `$LOCAL_ENGINE_API_KEY`; None where it needs none."""
    text = os.environ.get(_VARIABLE, "")
    return SecretStr(text) if text else None


def _server(root: str) -> Server:
    return Server(root, key(), called=f"the server at {root}")


async def deploy(
    folder: EndpointFolder, models: tuple[TrainedModel, ...], spec: EndpointSpec, options: LocalOptions
) -> None:
    """Load `models` there and unload what an earlier deploy of this name loaded. The caller holds the lock.

    The record keeps the names of both until the work is done, so that a crash in between forgets none.
    """
    root = options.engine.rstrip("/").removesuffix("/v1")
    if not await is_healthy(root):
        raise NotReady(f"nothing answers at {root}", fix="Start the server that takeover:local.engine names.")
    before = folder.record()
    wanted = tuple(model.served_name for model in models)
    ours = set(before.loaded if before else ()) | set(wanted)
    record = Record(spec=spec, models=models, root=root, loaded=tuple(sorted(ours)))
    folder.write_record(record)
    progress("record", f"{spec.name} is noted")
    try:
        await serve_exactly(_server(root), models, ask_all=False, ours=ours, drain_s=None)
    except AuthError as error:
        raise AuthError(error.happened, why=error.why, fix=f"Set {_VARIABLE} to its key.") from None
    folder.write_record(record.model_copy(update={"loaded": wanted}))


async def leave(folder: EndpointFolder, record: Record) -> None:
    """Unload what is ours; a server that is gone took it along."""
    with suppress(NotReady):
        await retire(_server(record.root), record.loaded, drain_s=None)
    progress("left", f"{folder.name} has left {record.root}")
