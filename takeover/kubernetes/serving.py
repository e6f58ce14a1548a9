"""One endpoint on a cluster as plain values, from which every manifest is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from takeover.bases import parse_base
from takeover.errors import Refusals, Refused
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.settings._kubernetes import KubernetesOptions, parse_options

if TYPE_CHECKING:
    from takeover.planning.fit import VllmFlags

__all__ = ["Platform", "Serving", "serving_for"]


@dataclass(frozen=True)
class Platform:
    """What a kind of cluster adds to what the stack says. `egress` are further ways out: (network, TCP port).

    `tolerations`, `node_selector` and the annotations come on top of the stack's; `hostname` with `ingress_class` is an
    Ingress where the stack has none.
    """

    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, str], ...] = ()
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    pod_annotations: Mapping[str, str] = field(default_factory=dict)
    service_account_annotations: Mapping[str, str] = field(default_factory=dict)
    service_annotations: Mapping[str, str] = field(default_factory=dict)
    hostname: str | None = None
    ingress_class: str | None = None
    ingress_annotations: Mapping[str, str] = field(default_factory=dict)
    ingress_cidrs: tuple[str, ...] = ()
    storage_class: str | None = None
    priority_class: str | None = None
    egress: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Serving:
    """What is served: `models` on `base` (canonical text), the first is the default.

    `flags` are vLLM's, from the fit. `key_mark` changes with the API key, so that pods with another key
    are other pods.
    """

    name: str
    namespace: str
    base: str
    models: tuple[TrainedModel, ...]
    min_replicas: int
    max_replicas: int
    options: KubernetesOptions
    flags: VllmFlags
    labels: Mapping[str, str] = field(default_factory=dict)
    platform: Platform = Platform()
    target_latency_ms: int | None = None
    key_mark: str = ""

    @property
    def owns_namespace(self) -> bool:
        """Whether the namespace is made for this endpoint alone, and deleted with it."""
        return self.options.namespace is None

    @property
    def is_scaled(self) -> bool:
        """Whether somebody else than the manifest says how many replicas there are."""
        return self.min_replicas != self.max_replicas and self.options.scaler != "none"


def serving_for(
    models: tuple[TrainedModel, ...],
    spec: EndpointSpec,
    flags: VllmFlags,
    *,
    platform: Platform | None = None,
    target_latency_ms: int | None = None,
    key_mark: str = "",
) -> Serving:
    """The values of one endpoint. Refusals where pods could not fetch what they serve. Pure."""
    options = parse_options(spec.options)
    Refusals.raise_if_any(f"the endpoint {spec.name}", _mistakes(models, spec.base))
    return Serving(
        name=spec.name,
        namespace=options.namespace or spec.name,
        base=spec.base,
        models=models,
        min_replicas=spec.min_replicas,
        max_replicas=spec.max_replicas,
        options=options,
        flags=flags,
        labels=dict(spec.labels),
        platform=platform or Platform(),
        target_latency_ms=target_latency_ms,
        key_mark=key_mark,
    )


def _mistakes(models: tuple[TrainedModel, ...], base: str) -> Iterator[Refused]:
    if parse_base(base).kind != "hub":
        yield Refused(
            f"the base {base} is on this machine only",
            why="A pod fetches the base itself, by name and commit.",
            fix="Train on a base of the Hub: hub:OWNER/NAME@COMMIT.",
        )
    for model in models:
        if model.source == "":
            yield Refused(
                f"{model.served_name} is a folder on this machine",
                why="A pod fetches the adapter itself, and checks its digest there.",
                fix="`takeover push FOLDER hf://OWNER/NAME` (or s3://, gs://), then `takeover adapter use ADDRESS`.",
                where=model.path,
            )
        if model.base != base:
            yield Refused(f"{model.served_name} was trained on {model.base}, not on {base}", fix="One base a stack.")
