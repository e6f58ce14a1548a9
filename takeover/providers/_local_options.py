"""`takeover:local` as the provider takes it: `EndpointSpec.options`, checked again, as not every caller is a stack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from takeover.errors import Refusals, Refused
from takeover.settings import LocalOptions

__all__ = ["is_url", "parse_options"]


def parse_options(options: Mapping[str, Any]) -> LocalOptions:
    """The options with their defaults; Refusals with every wrong one by its YAML key."""
    try:
        return LocalOptions.model_validate(dict(options))
    except ValidationError as error:
        raise Refusals("the options of the local tier", [_mistake(dict(found)) for found in error.errors()]) from None


def _mistake(found: Mapping[str, Any]) -> Refused:
    key = ".".join(str(part) for part in found["loc"])
    return Refused(str(found["msg"]), where=f"takeover:local.{key}")


def is_url(engine: str) -> bool:
    """Whether the engine is a server that somebody else runs."""
    return engine.startswith(("http://", "https://"))
