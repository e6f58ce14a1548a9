"""Commands: `takeover render`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from takeover.cli._terminal import err, out, print_json
from takeover.errors import Refused

if TYPE_CHECKING:
    from takeover.kubernetes import Platform, Serving
    from takeover.providers._base import EndpointSpec, TrainedModel
    from takeover.settings import Settings

__all__ = ["register", "serving_of_stack"]

_CLUSTERS = ("kubernetes", "eks")


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command()(render)


def render(
    stack: Annotated[str, typer.Option(help="The stack, by its file Pulumi.<stack>.yaml.")],
    folder: Annotated[Path, typer.Option("--out", help="Where the files go: empty, new, or rendered before.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON document, for a program.")] = False,
) -> None:
    """Write a stack's Kubernetes manifests to a folder, for Argo CD, Flux or kubectl. Nothing is applied.

    The adapters are opened, or pulled, and verified. The files hold no secret: the stack names where the key is.
    """
    from takeover.engine.project import open_project, stack_file
    from takeover.kubernetes import manifests, url
    from takeover.kubernetes.render import render as rendered
    from takeover.kubernetes.render import write
    from takeover.kubernetes.words import change, needs
    from takeover.settings import settings_from_stack_file

    project = open_project()
    settings = settings_from_stack_file(stack_file(project.root, stack))
    serving = serving_of_stack(settings, project.root, project.name)
    files = rendered(manifests(serving), serving.name)
    write(files, folder)
    if json:
        print_json({"folder": str(folder), "namespace": serving.namespace, "url": url(serving), "files": list(files)})
        return
    out.print(f"{len(files)} files in {folder}", markup=False)
    for sentence in (
        f"answers at {url(serving)}",
        change(serving),
        f"the cluster must have {', '.join(needs(serving))}",
        f"apply: kubectl apply --server-side -k {folder}",
    ):
        err.print(sentence, markup=False)


def serving_of_stack(settings: Settings, root: Path, project: str) -> Serving:
    """What the stack serves, as its preview would have it. Refused for a tier that has no manifests, or without a
    place for the key."""
    from components.program import build_spec, open_adapters, open_previous
    from takeover.fitting import fit_of_stack
    from takeover.kubernetes import flags_for, serving_for
    from takeover.providers import named_models
    from takeover.registry import trained
    from takeover.tiers import tier

    options = _options(settings)
    record = tier(settings.hosting.provider, settings.hosting.cluster)
    adapters = open_adapters(settings, root)
    previous = open_previous(settings, record, adapters, root)
    served = [*zip(settings.adapter_sources, adapters, strict=True), *previous]
    fit = fit_of_stack(settings, [adapter.manifest for _, adapter in served], say=err.print)
    models = tuple(trained(source.source, adapter) for source, adapter in served)
    models = named_models(record.name, models, options, cluster=record.cluster)
    base = adapters[0].manifest.base
    spec = build_spec(settings, record, base, project=project, stack=settings.stack, fit=fit)
    return serving_for(
        models,
        spec,
        flags_for(models, spec),
        platform=_platform(settings, spec, models),
        target_latency_ms=settings.hosting.target_latency_ms,
    )


def _options(settings: Settings) -> dict[str, object]:
    hosting, options = settings.hosting, settings.kubernetes
    if hosting.cluster not in _CLUSTERS or options is None:
        raise Refused(
            f"the stack {settings.stack} runs on {hosting.provider}"
            + (f", cluster {hosting.cluster}" if hosting.cluster else "")
            + ", which has no manifests",
            fix=f"Render a stack with takeover:hosting.cluster: {' or '.join(_CLUSTERS)}.",
            where="takeover:hosting.cluster",
        )
    if options.api_key_secret is None and options.external_secret is None:
        raise Refused(
            "the stack does not say where the API key is",
            why="A folder of manifests ends in a repository, so no key is written into it.",
            fix="Set takeover:kubernetes.apiKeySecret to a Secret that is there, or externalSecret.",
            where="takeover:kubernetes.apiKeySecret",
        )
    return settings.options()


def _platform(settings: Settings, spec: EndpointSpec, models: tuple[TrainedModel, ...]) -> Platform | None:
    """What EKS adds; imported with its cloud's SDK for its stacks only."""
    if settings.eks is None or settings.kubernetes is None:
        return None
    from components.eks.place import platform

    return platform(spec, models, settings.eks, drain_seconds=settings.kubernetes.drain_seconds)
