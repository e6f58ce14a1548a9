"""Modal's own client (PyPI modal 1.6.4), the calls that we make of it. Blocking: run it in a thread.

Each operation has a client of its own, so that credentials and address are those of the moment; what it raises becomes
one of our errors in `asking`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from takeover.modal_contract import APP_CLASS, KEY_FILE
from takeover.providers._modal_errors import error_of_exception
from takeover.providers._modal_prepare import strangers
from takeover.providers._modal_record import Record, decode

if TYPE_CHECKING:
    import modal
    from modal.types import FunctionStats

__all__ = ["Deployed", "figures", "last_words", "look", "remove", "rescale"]

_SERVICE = f"{APP_CLASS}.*"  # how Modal names the function behind a class


@dataclass(frozen=True)
class Deployed:
    """An app of ours as Modal has it. `runners` counts containers, also starting ones; `gpus` are (type, count)."""

    record: Record
    url: str
    key: SecretStr | None
    runners: int
    min_containers: int
    max_containers: int | None
    gpus: tuple[tuple[str, int], ...] = ()
    regions: tuple[str, ...] = ()
    is_scaled_by_hand: bool = field(default=False)


@contextmanager
def asking(what: str) -> Iterator[modal.Client]:
    """A client for one operation; whatever Modal answers becomes one of our errors, `what` being what was asked."""
    import modal
    from modal.config import config

    # The HTTP/2 library writes every header into its debug log, the token's secret among them.
    logging.getLogger("hpack").setLevel(logging.INFO)
    try:
        token = (config["token_id"], config["token_secret"])
        client = modal.Client.from_credentials(*token) if all(token) else modal.Client.from_env()
        try:
            yield client
        finally:
            if all(token):
                client.close()
    except (modal.exception.Error, OSError) as error:
        raise error_of_exception(error, what) from None


def look(name: str) -> Deployed | None:
    """The deployed app of that name; None where there is none. Refused when it is not ours. Wakes no container."""
    import modal

    with asking(f"looking at {name}") as client:
        try:
            app = modal.App.lookup(name, client=client)
        except modal.exception.NotFoundError:
            return None
        record = decode(app.get_tags())
        if record is None:
            raise strangers(name)
        service = _service(app, client)
        scaler, info = service.autoscaler.settings(), service.info()
        minimum, maximum = scaler.min_containers or 0, scaler.max_containers
        instance = modal.Cls.from_name(name, APP_CLASS, client=client)()
        return Deployed(
            record=record,
            url=instance.web.get_web_url() or "",
            key=_read_key(name, client),
            runners=service.get_current_stats().num_total_runners,
            min_containers=minimum,
            max_containers=maximum,
            gpus=tuple((str(gpu), count) for gpu, count in info.gpus),
            regions=tuple(info.regions or ()),
            is_scaled_by_hand=(minimum, maximum or 0) != (record.min_containers, record.max_containers),
        )


def _service(app: modal.App, client: modal.Client) -> modal.Function[Any, Any, Any]:
    import modal

    service: modal.Function[Any, Any, Any] = modal.Function.from_id(app.info().functions[_SERVICE], client=client)
    return service


def _read_key(name: str, client: modal.Client) -> SecretStr | None:
    import modal

    try:
        volume = modal.Volume.from_name(name, client=client)
        return SecretStr(b"".join(volume.read_file(KEY_FILE)).decode())
    except (modal.exception.NotFoundError, FileNotFoundError):
        return None


def rescale(name: str, *, minimum: int, maximum: int | None) -> None:
    """So many containers at least, and at most; None leaves the upper bound. The next deploy undoes it."""
    import modal

    with asking(f"scaling {name}") as client:
        scaler = _service(modal.App.lookup(name, client=client), client).autoscaler
        if maximum is None:
            scaler.update(min_containers=minimum)
        else:
            scaler.update(min_containers=minimum, max_containers=maximum)


def figures(name: str) -> tuple[FunctionStats, int, int]:
    """Modal's own figures of the last hour, what waits now, and how many containers run."""
    import modal

    with asking(f"reading the figures of {name}") as client:
        service = _service(modal.App.lookup(name, client=client), client)
        now = service.get_current_stats()
        return service.stats(), now.backlog, now.num_total_runners


def last_words(name: str, lines: int = 12) -> str:
    """The last lines of the app's log; empty when there is none, or it cannot be read."""
    import modal

    with suppress(Exception), asking(f"reading the log of {name}") as client:
        entries = modal.App.lookup(name, client=client).logs.tail(4 * lines)
        text = "".join(entry.message for entry in entries)
        return "\n".join([line.rstrip() for line in text.splitlines() if line.strip()][-lines:])
    return ""


def remove(name: str) -> None:
    """Stop the app and delete its volume; what is gone already is a success. Refused for what is not ours."""
    import modal

    with asking(f"removing {name}") as client:
        try:
            app = modal.App.lookup(name, client=client)
        except modal.exception.NotFoundError:
            app = None
        if app is not None:
            if decode(app.get_tags()) is None:
                raise strangers(name)
            app.stop(client=client)
        modal.Volume.objects.delete(name, allow_missing=True, client=client)
