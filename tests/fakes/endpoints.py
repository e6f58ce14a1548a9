"""Outputs that point to a stub."""

from __future__ import annotations

from collections.abc import Sequence

from fakes.openai_stub import KEY, MODEL
from pydantic import SecretStr

from takeover.outputs import EndpointOutputs, ServedAdapter, example


def outputs_for(url: str, *, models: Sequence[str] = (MODEL,), key: str = KEY) -> EndpointOutputs:
    """The example's outputs with this address, these served names (`name@12 hex`) and this key."""
    digests = {model: "sha256:" + model.partition("@")[2].ljust(64, "0") for model in models}
    adapters = tuple(
        ServedAdapter(name=model.partition("@")[0], model=model, digest=digest) for model, digest in digests.items()
    )
    changes = {"url": url, "model": models[0], "digest": adapters[0].digest, "adapters": adapters}
    return example().model_copy(update={**changes, "api_key": SecretStr(key)})
