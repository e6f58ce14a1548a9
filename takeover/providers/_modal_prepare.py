"""What happens before `modal deploy` builds anything, on the machine that deploys: adapters and key go to the volume.

Called by serving/modal_app.py, so that the bare command does all of it. Safe to be killed anywhere and to run twice: an
adapter is sent in one step and lies under its digest, the key is made only where there is none.
"""

from __future__ import annotations

import hashlib
import io
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from takeover.adapter import open_adapter
from takeover.errors import Refusals, Refused, collected
from takeover.modal_contract import KEY_FILE, AdapterRef, ContainerSettings, adapter_folder, fingerprint
from takeover.providers._modal_options import cached_adapter
from takeover.providers._modal_record import Record, decode, encode, kept_after
from takeover.providers._modal_source import source_hash

if TYPE_CHECKING:
    import modal

__all__ = ["Prepared", "mark_of", "prepare", "read_record", "strangers"]


@dataclass(frozen=True)
class Prepared:
    """`settings` know what is kept; `tags` are the record of the version to come; `volume_ids` those it reads."""

    settings: ContainerSettings
    tags: dict[str, str]
    volume_ids: tuple[str, ...]


def prepare(settings: ContainerSettings, *, store: modal.Volume, bases: modal.Volume) -> Prepared:
    """Send what the volume lacks, make the key, and see what the version before served."""
    before = read_record(settings.name)
    store.hydrate()
    bases.hydrate()
    held = _files(store)
    sent = _send_missing(settings.adapters, store, held)
    key = _key(store, held)
    mark = mark_of(settings.base)
    if before is not None and before.base_mark not in ("", mark):
        before = None  # an adapter of another base cannot be served beside the new ones
    kept = kept_after(before, settings.adapters, _digests(held) | sent)
    rank = max([settings.largest_rank, before.largest_rank if before and kept else 0])
    source = source_hash()
    record = Record(
        adapters=settings.adapters,
        kept=kept,
        largest_rank=rank,
        min_containers=settings.min_containers,
        max_containers=settings.max_containers,
        fingerprint=fingerprint(settings, source),
        base_mark=mark,
        labels=settings.labels,
    )
    # Where an adapter lay on this machine is nothing that a container needs to know.
    adapters = tuple(adapter.model_copy(update={"source": ""}) for adapter in settings.adapters)
    found_out = {"adapters": adapters, "kept": kept, "largest_rank": rank, "key_mark": mark_of(key)}
    final = settings.model_copy(update=found_out)
    return Prepared(final, encode(record), (store.object_id, bases.object_id))


def mark_of(text: str) -> str:
    """12 hex digits that change with the text and do not tell it."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read_record(name: str) -> Record | None:
    """What the deployed app of that name says; None where there is none. Refused when it is somebody else's."""
    import modal

    try:
        record = decode(modal.App.lookup(name).get_tags())
    except modal.exception.NotFoundError:
        return None
    if record is None:
        raise strangers(name)
    return record


def strangers(name: str) -> Refused:
    return Refused(
        f"there is an app {name} on Modal that takeover did not make",
        why="It carries none of our tags, so it is left alone.",
        fix=f"Rename it or stop it (`modal app stop {name}`), or use another stack name.",
    )


def _files(store: modal.Volume) -> set[str]:
    """Everything in the volume, as `adapters/<64 hex>/manifest.json`."""
    return {entry.path.lstrip("/") for entry in store.listdir("/", recursive=True)}


def _digests(held: set[str]) -> set[str]:
    manifests = [path.split("/") for path in held if path.startswith("adapters/") and path.endswith("/manifest.json")]
    return {f"sha256:{parts[1]}" for parts in manifests}


def _key(store: modal.Volume, held: set[str]) -> str:
    """The endpoint's key, made where there is none. Whoever removes it from the volume gets another one this way."""
    if KEY_FILE not in held:
        made = secrets.token_urlsafe(32)
        try:
            with store.batch_upload() as upload:
                upload.put_file(io.BytesIO(made.encode()), f"/{KEY_FILE}")
            return made
        except FileExistsError:
            pass  # somebody who deploys beside us was first: theirs stands
    return b"".join(store.read_file(KEY_FILE)).decode()


def _send_missing(adapters: tuple[AdapterRef, ...], store: modal.Volume, held: set[str]) -> set[str]:
    """Verify and send each adapter that the volume lacks; returns their digests. Refusals before the first is sent."""
    missing = [adapter for adapter in adapters if f"{adapter_folder(adapter.digest)}/manifest.json" not in held]
    mistakes = [mistake for adapter in missing for mistake in _mistakes(adapter)]
    Refusals.raise_if_any("the adapters to send to Modal", mistakes)
    for adapter in missing:
        with store.batch_upload(force=True) as upload:
            upload.put_directory(_folder(adapter), f"/{adapter_folder(adapter.digest)}")
    return {adapter.digest for adapter in missing}


def _folder(adapter: AdapterRef) -> Path:
    """Where it lies on this machine: without a source, in the cache of pulled adapters."""
    return Path(adapter.source) if adapter.source else cached_adapter(adapter.digest)


def _mistakes(adapter: AdapterRef) -> list[Refused]:
    folder = _folder(adapter)
    if not folder.is_dir():
        fix = "Deploy from a machine that has it."
        return [Refused(f"{adapter.served_name} is neither in {folder} nor in the volume", fix=fix)]
    mistakes: list[Refused] = []
    collected(mistakes, lambda: open_adapter(folder, digest=adapter.digest))
    return mistakes
