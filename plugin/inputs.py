"""The resource's inputs: what is wrong with them (Check), and what they mean. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plugin.wire import Unknown, has_unknown, plain
from takeover.errors import Refusals, Refused
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.providers._limits import require_deployable
from takeover.tiers import tier

__all__ = ["INPUTS", "Desired", "Failure", "check", "inputs_of", "parse"]

INPUTS = ("models", "provider", "spec")


@dataclass(frozen=True)
class Failure:
    """One wrong property, by its path (`models[0].rank`)."""

    path: str
    reason: str


@dataclass(frozen=True)
class Desired:
    """What the program wants to be served."""

    provider: str
    models: tuple[TrainedModel, ...]
    spec: EndpointSpec

    @property
    def id(self) -> str:
        """The resource's id: with it alone an endpoint is found again (`pulumi import`)."""
        return f"{self.provider}/{self.spec.name}"

    @property
    def digests(self) -> list[str]:
        return [model.digest for model in self.models]

    @property
    def served(self) -> list[str]:
        return [model.served_name for model in self.models]


def parse(inputs: Mapping[str, Any]) -> Desired:
    """The inputs of an up, where nothing is unknown and Check has passed."""
    values = plain(inputs)
    return Desired(
        provider=values["provider"],
        models=tuple(TrainedModel.model_validate(model) for model in values["models"]),
        spec=EndpointSpec.model_validate(values["spec"]),
    )


def inputs_of(provider: str, models: Sequence[TrainedModel], spec: EndpointSpec) -> dict[str, Any]:
    """The inputs as a program writes them (components/endpoint.py)."""
    return {
        "provider": provider,
        "models": [model.model_dump(mode="json", by_alias=True) for model in models],
        "spec": spec.model_dump(mode="json", by_alias=True),
    }


def check(inputs: Mapping[str, Any]) -> list[Failure]:
    """Everything that is wrong with what is known; what a preview does not know yet is passed over."""
    failures = list(_key_failures(inputs))
    failures += _provider_failures(plain(inputs.get("provider")))
    failures += _shape_failures(inputs)
    if failures or has_unknown(inputs):
        return failures
    desired = parse(inputs)
    try:
        require_deployable(tier(desired.provider), desired.models, desired.spec)
    except Refusals as refusals:
        return [Failure(mistake.where, _sentence(mistake)) for mistake in refusals.mistakes]
    return []


def _key_failures(inputs: Mapping[str, Any]) -> Iterator[Failure]:
    for name in INPUTS:
        if name not in inputs:
            yield Failure(name, "is missing")
    for name in sorted(set(inputs) - set(INPUTS)):
        if not name.startswith("__"):  # the engine's own
            yield Failure(name, f"is no input of this resource; it takes {', '.join(INPUTS)}")


def _provider_failures(name: Any) -> list[Failure]:
    if name is None or isinstance(name, Unknown):
        return []
    try:
        tier(name if isinstance(name, str) else repr(name))
    except Refused as refused:
        return [Failure("provider", _sentence(refused))]
    return []


def _shape_failures(inputs: Mapping[str, Any]) -> Iterator[Failure]:
    spec, models = plain(inputs.get("spec")), plain(inputs.get("models"))
    if spec is not None and not has_unknown(spec):
        yield from _type_failures(EndpointSpec, spec, "spec")
    if models is None or isinstance(models, Unknown):
        return
    if not isinstance(models, list):
        yield Failure("models", "is no list")
        return
    for index, model in enumerate(models):
        if not has_unknown(model):
            yield from _type_failures(TrainedModel, model, f"models[{index}]")


def _type_failures(kind: type[EndpointSpec] | type[TrainedModel], value: Any, path: str) -> Iterator[Failure]:
    from pydantic import ValidationError

    try:
        kind.model_validate(value)
    except ValidationError as error:
        for found in error.errors(include_url=False):
            yield Failure(".".join((path, *map(str, found["loc"]))), found["msg"])


def _sentence(refused: Refused) -> str:
    return ". ".join(part.rstrip(".") for part in (refused.happened, refused.why, refused.fix) if part)
