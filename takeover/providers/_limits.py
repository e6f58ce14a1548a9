"""What a tier cannot do is refused before anything is made, with the registry's own words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from takeover.errors import Refusals, Refused
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.tiers import Feature, No, Tier

__all__ = ["feature_refusal", "require_deployable", "require_feature", "require_replicas"]


def feature_refusal(tier: Tier, feature: Feature, *, where: str = "") -> Refused | None:
    """Why `tier` cannot do it and what to do instead; None when it can."""
    answer = tier.supports[feature]
    if not isinstance(answer, No):
        return None
    reason = answer.reason[0].upper() + answer.reason[1:]
    return Refused(
        f"{tier.name} does not offer {feature.value}", why=f"{reason}.", fix=f"Instead: {answer.instead}.", where=where
    )


def require_feature(tier: Tier, feature: Feature, *, where: str = "") -> None:
    """Raise Refused when `tier` cannot do it."""
    refusal = feature_refusal(tier, feature, where=where)
    if refusal is not None:
        raise refusal


def require_replicas(tier: Tier, replicas: int) -> None:
    """Raise Refused when `tier` cannot run so many."""
    if replicas < 0:
        raise Refused(f"{replicas} replicas cannot be", fix="Ask for one or more.", where="replicas")
    if replicas == 0:
        require_feature(tier, Feature.SCALE_TO_ZERO, where="replicas")
    if replicas > 1:
        require_feature(tier, Feature.REPLICAS, where="replicas")


def require_deployable(tier: Tier, models: tuple[TrainedModel, ...], spec: EndpointSpec) -> None:
    """Raise Refusals with everything that `tier` cannot deploy; `where` is the path in `{models, spec}`."""
    Refusals.raise_if_any(f"{tier.name} cannot serve {spec.name}", _refusals(tier, models, spec))


def _refusals(tier: Tier, models: tuple[TrainedModel, ...], spec: EndpointSpec) -> Iterator[Refused]:
    if not models:
        yield Refused("there is no adapter to serve", fix="Name at least one.", where="models")
    for index, model in enumerate(models):
        yield from _model_refusals(tier, model, spec, f"models[{index}]")
    names = [model.served_name for model in models]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Refused(f"{name} is given twice", fix="Name it once.", where=f"models[{index}].servedName")
    yield from (refusal for refusal in _feature_refusals(tier, models, spec) if refusal is not None)


def _model_refusals(tier: Tier, model: TrainedModel, spec: EndpointSpec, where: str) -> Iterator[Refused]:
    if model.rank > tier.largest_rank:
        yield Refused(
            f"{model.served_name} has rank {model.rank}",
            why=f"{tier.name} serves ranks up to {tier.largest_rank}.",
            fix=f"Train with rank {tier.largest_rank} or less, or choose another tier.",
            where=f"{where}.rank",
        )
    if model.base != spec.base:
        yield Refused(
            f"{model.served_name} was trained on {model.base}",
            why=f"This endpoint serves {spec.base}; an adapter of another base answers with noise.",
            fix="Deploy adapters of one base together, each base under its own stack.",
            where=f"{where}.base",
        )


def _feature_refusals(tier: Tier, models: tuple[TrainedModel, ...], spec: EndpointSpec) -> Iterator[Refused | None]:
    if len(models) > 1:
        yield feature_refusal(tier, Feature.MANY_ADAPTERS, where="models")
    if spec.min_replicas == 0:
        yield feature_refusal(tier, Feature.SCALE_TO_ZERO, where="spec.minReplicas")
    if spec.max_replicas > 1:
        yield feature_refusal(tier, Feature.REPLICAS, where="spec.maxReplicas")
    if spec.min_replicas > spec.max_replicas:
        yield Refused(
            f"minReplicas is {spec.min_replicas}, above maxReplicas ({spec.max_replicas})",
            fix="Raise maxReplicas, or lower minReplicas.",
            where="spec.minReplicas",
        )
    if _names_regions(spec.options):
        yield feature_refusal(tier, Feature.REGIONS, where="spec.options.regions")


def _names_regions(options: Mapping[str, Any]) -> bool:
    return bool(options.get("regions"))
