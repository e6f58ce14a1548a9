"""`takeover deploy`: the same InferenceProvider where no engine can be had. No state, no preview, no refresh.

The endpoint's name is made from the path of the outputs file, so one file stands for one endpoint and `take_down`
finds what a deployment that was cut off had begun, before it wrote the file.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from takeover.adapter import Adapter, open_adapter
from takeover.engine import _desk
from takeover.engine.status import ask_health
from takeover.errors import Refused
from takeover.fitting import fit_of_stack, flags_of_fit
from takeover.naming import endpoint_name
from takeover.outputs import EndpointOutputs, build_outputs, outputs_from_file, parse_outputs, save_outputs
from takeover.planning import plan
from takeover.providers import named_models, provider_for
from takeover.providers._base import Endpoint, EndpointSpec, InferenceProvider, Knowing, TrainedModel
from takeover.registry import is_address, parse_address, pull, resolve, trained
from takeover.settings import Settings, parse_settings
from takeover.tiers import tier

if TYPE_CHECKING:
    from takeover.planning.fit import Fit

__all__ = ["name_for", "provider_of", "put_up", "take_down"]


def name_for(outputs: Path) -> str:
    """The endpoint that an outputs file stands for."""
    return endpoint_name("takeover", outputs.stem, str(outputs.resolve()))


def put_up(
    provider: str,
    adapters: Sequence[str],
    outputs: Path,
    *,
    cluster: str | None = None,
    options: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> EndpointOutputs:
    """Serve the adapters (the first is the default) and write `outputs`; called again, it changes what is served.

    `adapters` are folders or addresses (takeover.registry), `options` what a stack says under `takeover:<provider>`.
    Raises Refused for bad input, else what the provider raises.
    """
    tier(provider, cluster)  # before anything is pulled for it
    sources, opened = zip(*(_opened(text, say) for text in adapters), strict=True)
    settings = _settings(provider, sources, cluster, options or {})
    models = tuple(trained(source["source"], adapter) for source, adapter in zip(sources, opened, strict=True))
    spec = _spec(settings, models[0].base, outputs, fit_of_stack(settings, [each.manifest for each in opened], say=say))
    models = named_models(provider, models, spec.options, cluster=cluster)
    before = _desk.noted(spec.name)
    _require_same_tier(before, provider, outputs)
    asked = [model.model_dump(mode="json") for model in models]
    _desk.note(_desk.Noted(spec.name, provider, str(outputs.resolve()), cluster, spec.model_dump(mode="json"), asked))
    try:
        endpoint = asyncio.run(provider_for(provider, cluster).deploy(models, spec))
    except Refused:
        if before is None:
            _desk.forget(spec.name)
        raise
    made = _outputs(settings, models, endpoint)
    save_outputs(outputs, made)
    return made


def _opened(text: str, say: Callable[[str], None]) -> tuple[dict[str, str], Adapter]:
    """The adapter, and what a stack would say of its source; an address that moves is resolved once, and that is said.

    A pull is verified as an opening is.
    """
    if not is_address(text):
        return {"source": text}, open_adapter(Path(text).expanduser())
    address = parse_address(text)
    place = address if address.is_pinned else resolve(address)
    if place != address:
        say(f"{address} is {place.version} now")
    adapter = pull(place, say=say)
    return {"source": str(place), "digest": adapter.digest}, adapter


def _settings(
    provider: str, sources: Sequence[Mapping[str, str]], cluster: str | None, options: Mapping[str, Any]
) -> Settings:
    """What a development stack would say, so that the same rules hold."""
    hosting = {"environment": "development", "provider": provider, **({"cluster": cluster} if cluster else {})}
    raw = {"hosting": json.dumps(hosting), "adapters": json.dumps(list(sources))}
    if options:
        raw[provider] = json.dumps(dict(options))
    return parse_settings(raw, stack="of `takeover deploy`")


def _spec(settings: Settings, base: str, outputs: Path, fit: Fit | None) -> EndpointSpec:
    name = name_for(outputs)
    return EndpointSpec(
        name=name,
        base=base,
        cluster=settings.hosting.cluster or "",
        min_replicas=settings.hosting.min_replicas,
        max_replicas=settings.hosting.max_replicas,
        options=settings.options(),
        labels={"managed-by": "takeover", "deployment": name, "tier": settings.hosting.provider},
        flags=flags_of_fit(fit),
    )


def _require_same_tier(before: _desk.Noted | None, provider: str, outputs: Path) -> None:
    """One file stands for one endpoint: what another tier serves under it would be forgotten there."""
    if before is not None and before.provider != provider:
        raise Refused(
            f"{outputs} stands for an endpoint on {before.provider}",
            why="Without an engine nothing moves an endpoint from one tier to another.",
            fix=f"takeover destroy --outputs {outputs} first, or give another file.",
            where=str(outputs),
        )


def _outputs(settings: Settings, models: tuple[TrainedModel, ...], endpoint: Endpoint) -> EndpointOutputs:
    record = tier(settings.hosting.provider, settings.hosting.cluster)
    plain = build_outputs(
        tier=record,
        models=models,
        plan=plan(settings, record),
        url=endpoint.url,
        api_key=endpoint.api_key.get_secret_value() if endpoint.api_key else None,
        min_replicas=settings.hosting.min_replicas,
        max_replicas=settings.hosting.max_replicas,
        replicas_ready=endpoint.replicas_ready,
        cold_start_measured_ms=endpoint.cold_start_measured_ms,
        protocol=endpoint.protocol,
        regions=endpoint.regions,
    )
    return parse_outputs(plain, where="takeover deploy")


def provider_of(entry: _desk.Noted | None, written: EndpointOutputs | None) -> InferenceProvider:
    """The provider of what an outputs file stands for, told what was asked for (which cluster, which region).

    Without a note by the file itself, and without either the one of this machine.
    """
    known = entry or written
    provider = provider_for(known.provider, known.cluster) if known is not None else provider_for("local")
    if entry is None or entry.spec is None or not isinstance(provider, Knowing):
        return provider
    models = tuple(TrainedModel.model_validate(model) for model in entry.models)
    return provider.knowing(models, EndpointSpec.model_validate(entry.spec))


def take_down(outputs: Path) -> bool:
    """Remove the endpoint of `outputs` and the file; False where there was nothing, which is a success too."""
    written, name = outputs_from_file(outputs) if outputs.exists() else None, name_for(outputs)
    entry = _desk.noted(name)
    provider = provider_of(entry, written)
    endpoint = asyncio.run(provider.find(name))
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
    _desk.forget(name)
    return endpoint is not None
