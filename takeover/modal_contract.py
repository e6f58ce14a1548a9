"""What a container on Modal is told, and where things lie in it. Pure.

The contract between whoever deploys (takeover/providers, components) and what runs there (serving/modal_app.py). It
travels as environment variables, one for each field, so that a preview shows which setting changes. No credential is
among them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from takeover.errors import Refusals, Refused

__all__ = [
    "APP_CLASS",
    "BASES",
    "KEY_FILE",
    "PREFIX",
    "REFUSED",
    "STORE",
    "AdapterRef",
    "ContainerSettings",
    "adapter_folder",
    "container_environment",
    "fingerprint",
    "parse_container_settings",
    "prefixed",
]

PREFIX = "TAKEOVER_MODAL_"
# The class of serving/modal_app.py that answers; its address is asked for by this name.
APP_CLASS = "Endpoint"

# What the app says first when it refuses before anything is built; the refusal's own words follow.
REFUSED = "takeover refuses this deploy:"

# Where the two volumes are mounted: the endpoint's own (key, adapters), and the bases, shared by all endpoints.
STORE = PurePosixPath("/store")
BASES = PurePosixPath("/bases")
KEY_FILE = "key"

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class AdapterRef(_Strict):
    """One adapter by its content. `source` is the folder on the machine that deploys, empty when it need not be there:
    what the volume holds already is not sent again."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    source: str = ""

    @property
    def served_name(self) -> str:
        return f"{self.name}@{self.digest.removeprefix('sha256:')[:12]}"


class ContainerSettings(_Strict):
    """One endpoint. `adapters` are wanted, the first is the default; `kept` are served for one more version, so that
    who holds yesterday's name still gets answers. Times are seconds. `secrets` are names of Modal secrets. `key_mark`
    changes with the endpoint's key, so that another key is another version, with containers that know it."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    base: Annotated[str, Field(min_length=1)]
    adapters: Annotated[tuple[AdapterRef, ...], Field(min_length=1)]
    kept: tuple[AdapterRef, ...] = ()
    largest_rank: Positive
    gpu: Annotated[str, Field(min_length=1)]
    min_containers: Count = 0
    max_containers: Positive = 1
    buffer_containers: Count = 0
    scaledown_window_s: Positive = 300
    max_concurrent_inputs: Positive = 32
    regions: tuple[str, ...] = ()
    startup_timeout_s: Positive = 1200
    request_timeout_s: Positive = 600
    snapshot: bool = True
    secrets: tuple[str, ...] = ()
    bases_volume: Annotated[str, Field(min_length=1)] = "takeover-bases"
    vllm_version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] = "0.33.0"
    context_length: Positive | None = None
    key_mark: str = ""
    labels: Mapping[str, str] = Field(default_factory=dict)

    @property
    def served(self) -> tuple[AdapterRef, ...]:
        """Everything that is served, the wanted ones first."""
        return (*self.adapters, *self.kept)


def adapter_folder(digest: str) -> str:
    """Where an adapter lies, below `STORE`: by its content, so that two versions never share a place."""
    return f"adapters/{digest.removeprefix('sha256:')}"


def container_environment(settings: ContainerSettings) -> dict[str, str]:
    """The settings as variables: text as it is, everything else as JSON; what has no value is left out."""
    values = settings.model_dump(mode="json", exclude_none=True)
    return {prefixed(name): value if isinstance(value, str) else _json(value) for name, value in values.items()}


def parse_container_settings(environ: Mapping[str, str]) -> ContainerSettings:
    """The settings of an environment; other variables are passed over. Refusals with every mistake by its variable."""
    values = dict(_values(environ))
    try:
        return ContainerSettings.model_validate_json(json.dumps(values))
    except ValidationError as error:
        mistakes = [_mistake(dict(found)) for found in error.errors(include_url=False, include_input=False)]
        raise Refusals("the settings of the container", mistakes) from None


def _values(environ: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for variable, text in environ.items():
        if variable.startswith(PREFIX):
            name = variable.removeprefix(PREFIX).lower()
            info = ContainerSettings.model_fields.get(name)
            yield name, text if info is None or info.annotation is str else _read(text)


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _mistake(found: Mapping[str, Any]) -> Refused:
    first, *rest = found["loc"] or ("",)
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest)
    return Refused(
        str(found["msg"]), fix="takeover/modal_contract.py says what it may be.", where=prefixed(first) + path
    )


def prefixed(name: str) -> str:
    """The variable of a field."""
    return f"{PREFIX}{name.upper()}"


def fingerprint(settings: ContainerSettings, source: str) -> str:
    """16 hex digits that change when a deploy would change anything: settings or the app's `source` hash.

    Not by where an adapter lies on some machine, nor by what only the deploy itself finds out.
    """
    adapters = tuple(adapter.model_copy(update={"source": ""}) for adapter in settings.adapters)
    plain = settings.model_copy(update={"adapters": adapters, "kept": (), "key_mark": ""}).model_dump(mode="json")
    return hashlib.sha256(_json({**plain, "source": source}).encode()).hexdigest()[:16]


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
