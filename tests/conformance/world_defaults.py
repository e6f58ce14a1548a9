"""What most worlds have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from fakes.canned import canned
from pydantic import SecretStr

from takeover.providers._base import Endpoint, EndpointSpec, TrainedModel

__all__ = ["AsMade", "canned_endpoint"]


@contextmanager
def canned_endpoint(
    provider: str, key: str, status: int | None, body: str, headers: Mapping[str, str]
) -> Iterator[Endpoint]:
    """An endpoint of that tier that gives one answer to whatever it is asked, as OpenAI's servers are asked."""
    with canned(status, body, headers) as root:
        yield Endpoint(id="x", name="x", provider=provider, url=f"{root}/v1", models=("a@1",), api_key=SecretStr(key))


class AsMade:
    """A tier that takes an adapter's folder and any base as they are."""

    def dressed(self, model: TrainedModel) -> TrainedModel:
        return model

    def wanted(self, spec: EndpointSpec) -> EndpointSpec:
        return spec
