"""The whole Pulumi program: settings, adapters, plan, one component, one output.

Both doors run it: `pulumi up` through __main__.py, `takeover up` inline. Mistakes raise `takeover.errors`, all at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.runtime import config

from components import component_for
from components.hosting import HostingArgs
from takeover.adapter import Adapter
from takeover.errors import Refusals, Refused, collected
from takeover.fitting import fit_of_stack, flags_of_fit
from takeover.home import project_root
from takeover.naming import endpoint_name
from takeover.outputs import build_outputs
from takeover.planning import Plan, plan, plan_of_cluster
from takeover.providers import named_models
from takeover.providers._base import EndpointSpec
from takeover.registry import open_source, trained
from takeover.settings import NAMESPACE, AdapterSource, Settings, check_against_tier, cluster_options, parse_settings
from takeover.tiers import Tier, tier

if TYPE_CHECKING:
    from takeover.planning.fit import Fit
    from takeover.settings._eks import EksOptions

__all__ = ["build_spec", "open_adapters", "open_previous", "program", "raw_settings", "sentences"]


def program() -> None:
    """Declare what this stack's settings say."""
    raw, stack = raw_settings(), pulumi.get_stack()
    cluster = cluster_options(raw, stack=stack)
    if cluster is not None:
        _cluster_alone(cluster)
        return
    settings = parse_settings(raw, stack=stack)
    record = tier(settings.hosting.provider, settings.hosting.cluster)
    adapters = open_adapters(settings, project_root())
    previous = open_previous(settings, record, adapters, project_root())
    served = [*zip(settings.adapter_sources, adapters, strict=True), *previous]
    costs = plan(settings, record)
    fit = fit_of_stack(settings, [adapter.manifest for _, adapter in served], say=pulumi.log.info)
    for sentence in (*sentences(settings, adapters, costs), *(fit.sentences if fit else ())):
        pulumi.log.info(sentence)
    spec = build_spec(settings, record, adapters[0].manifest.base, project=pulumi.get_project(), stack=stack, fit=fit)
    models = tuple(trained(source.source, adapter) for source, adapter in served)
    models = named_models(record.name, models, spec.options, cluster=record.cluster)
    args = HostingArgs(record, models, spec, settings.hosting.is_protected, settings)
    hosting = component_for(record)("hosting", args)
    endpoint = build_outputs(
        tier=record,
        models=models[: len(adapters)],
        plan=costs,
        url=hosting.url,
        api_key=pulumi.Output.secret(hosting.api_key),
        min_replicas=spec.min_replicas,
        max_replicas=spec.max_replicas,
        replicas_ready=hosting.replicas_ready,
        cold_start_measured_ms=hosting.cold_start_measured_ms,
        protocol=hosting.protocol,
        regions=hosting.regions,
    )
    pulumi.export("endpoint", endpoint)


def _cluster_alone(options: EksOptions) -> None:
    """A stack that makes a cluster for others, and serves nothing."""
    from components.eks.program import make_cluster

    for sentence in plan_of_cluster(options).sentences:
        pulumi.log.info(sentence)
    make_cluster(options)


def raw_settings() -> dict[str, str]:
    """The project's keys as the engine holds them, without their namespace: JSON text, or a plain string.

    All of them, so that a key nobody knows is refused; `pulumi.Config` could only be asked for those one knows.
    """
    prefix = f"{NAMESPACE}:"
    found: Mapping[str, Any] = {**config.get_config_env(), **config.CONFIG.get()}
    return {key.removeprefix(prefix): str(value) for key, value in found.items() if key.startswith(prefix)}


def open_adapters(settings: Settings, root: Path) -> list[Adapter]:
    """The adapters, opened or pulled and so verified, the default one first; Refusals with all that is wrong with them.

    Relative folders are those of the project's root. A registry that is out of reach, or wants another token, is an
    error of its own: nothing can be said of the adapters then.
    """
    mistakes: list[Refused] = []
    opened = [
        collected(mistakes, partial(open_source, source.source, digest=source.digest, root=root, say=pulumi.log.info))
        for source in settings.adapter_sources
    ]
    adapters = [adapter for adapter in opened if adapter is not None]
    if not mistakes:
        mistakes += check_against_tier(settings, [adapter.manifest for adapter in adapters])
    Refusals.raise_if_any(f"the adapters of the stack {settings.stack}", mistakes)
    return adapters


def open_previous(
    settings: Settings, record: Tier, wanted: Sequence[Adapter], root: Path
) -> list[tuple[AdapterSource, Adapter]]:
    """The versions before that new servers answer for too, each with its source; none where the tier does so itself.

    One that is wanted again is no version before; one of another base was on another endpoint.
    """
    if record.keeps_previous:
        return []
    found = []
    for source in settings.previous_sources:
        adapter = open_source(source.source, digest=source.digest, root=root, say=pulumi.log.info)
        if adapter.manifest.base != wanted[0].manifest.base:
            pulumi.log.info(f"{source.key} is not served: it was trained on {adapter.manifest.base}")
        elif adapter.digest not in [each.digest for each in wanted]:
            pulumi.log.info(f"{adapter.served_name} is served too, for callers that still have yesterday's outputs")
            found.append((source, adapter))
    return found


def build_spec(
    settings: Settings, record: Tier, base: str, *, project: str, stack: str, fit: Fit | None = None
) -> EndpointSpec:
    """What is asked of the tier. Pure."""
    return EndpointSpec(
        name=endpoint_name(project, stack, base),
        base=base,
        cluster=record.cluster or "",
        min_replicas=settings.hosting.min_replicas,
        max_replicas=settings.hosting.max_replicas,
        options=settings.options(),
        labels={"managed-by": "takeover", "project": project, "stack": stack, "tier": record.name},
        flags=flags_of_fit(fit),
    )


def sentences(settings: Settings, adapters: Sequence[Adapter], costs: Plan) -> Iterator[str]:
    """In words: what will be served, from where, and what it costs. Pure."""
    for source, adapter in zip(settings.adapter_sources, adapters, strict=True):
        pinned = "" if source.digest else f"; {source.key}.digest is not set, so it is whatever the folder holds"
        yield (
            f"{adapter.served_name} from {source.source} ({adapter.digest}, rank {adapter.manifest.rank}, "
            f"on {adapter.manifest.base}){pinned}"
        )
    for key in settings.unused:
        yield f"{key} is not used: {NAMESPACE}:hosting.provider is {settings.hosting.provider}"
    yield from costs.sentences
