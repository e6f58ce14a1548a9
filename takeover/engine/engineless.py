"""`takeover deploy`: the same InferenceProvider where no engine can be had. No state, no preview, no refresh.

The endpoint's name is made from the path of the outputs file, so one file stands for one endpoint and `take_down`
finds what a deployment that was cut off had begun, before it wrote the file.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from takeover.adapter import open_adapter
from takeover.engine.status import ask_health
from takeover.errors import Refused
from takeover.naming import endpoint_name
from takeover.outputs import EndpointOutputs, build_outputs, outputs_from_file, parse_outputs, save_outputs
from takeover.planning import plan
from takeover.providers import provider_for
from takeover.providers._base import Endpoint, EndpointSpec, TrainedModel
from takeover.settings import Settings, parse_settings
from takeover.tiers import tier

__all__ = ["name_for", "put_up", "take_down"]


def name_for(outputs: Path) -> str:
    """The endpoint that an outputs file stands for."""
    return endpoint_name("takeover", outputs.stem, str(outputs.resolve()))


def put_up(provider: str, folders: Sequence[Path], outputs: Path) -> EndpointOutputs:
    """Serve the adapters (the first is the default) and write `outputs`; called again, it changes what is served.

    Raises Refused for bad input, else what the provider raises.
    """
    settings = _settings(provider, folders)
    models = tuple(open_adapter(folder).trained_model() for folder in folders)
    spec = EndpointSpec(name=name_for(outputs), base=models[0].base, options=settings.options())
    endpoint = asyncio.run(provider_for(provider).deploy(models, spec))
    made = _outputs(settings, models, endpoint)
    save_outputs(outputs, made)
    return made


def _settings(provider: str, folders: Sequence[Path]) -> Settings:
    """What a development stack would say, so that the same rules hold."""
    sources = [{"source": str(folder)} for folder in folders]
    hosting = {"environment": "development", "provider": provider}
    raw = {"hosting": json.dumps(hosting), "adapters": json.dumps(sources)}
    return parse_settings(raw, stack="of `takeover deploy`")


def _outputs(settings: Settings, models: tuple[TrainedModel, ...], endpoint: Endpoint) -> EndpointOutputs:
    record = tier(settings.hosting.provider)
    plain = build_outputs(
        tier=record,
        models=models,
        plan=plan(settings, record),
        url=endpoint.url,
        api_key=endpoint.api_key.get_secret_value() if endpoint.api_key else None,
        min_replicas=1,
        max_replicas=1,
        replicas_ready=endpoint.replicas_ready,
        cold_start_measured_ms=endpoint.cold_start_measured_ms,
        protocol=endpoint.protocol,
        regions=endpoint.regions,
    )
    return parse_outputs(plain, where="takeover deploy")


def take_down(outputs: Path) -> bool:
    """Remove the endpoint of `outputs` and the file; False where there was nothing, which is a success too."""
    written = outputs_from_file(outputs) if outputs.exists() else None
    provider = provider_for(written.provider if written else "local")
    endpoint = asyncio.run(provider.find(name_for(outputs)))
    if endpoint is None and written is not None and ask_health(written.url)[0]:
        raise Refused(
            f"what answers at {written.url} was not put up under this path",
            why="The file was moved or copied after `takeover deploy` wrote it.",
            fix="Give the path that `takeover deploy` was given.",
            where=str(outputs),
        )
    if endpoint is not None:
        asyncio.run(provider.destroy(endpoint))
    outputs.unlink(missing_ok=True)
    return endpoint is not None
