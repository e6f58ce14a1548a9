"""`takeover:hosting`: the evaluation's three environments, and what a tier must be able to do in each of them.

Every rule reads the tier's record, never its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from takeover.errors import Refused
from takeover.settings._messages import one_of, suggest, validate
from takeover.settings._models import Hosting
from takeover.settings._raw import WrongSetting, join, shown
from takeover.tiers import Feature, Kind, No, Tier, Yes

__all__ = ["choice_mistakes", "environment_of", "read_hosting"]


@dataclass(frozen=True)
class _Shape:
    """One environment: its tolerance, the keys that it needs (each with an example), those it may have, defaults."""

    tolerance: str
    why: str
    needs: Mapping[str, Any] = field(default_factory=dict)
    may: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)


_ALWAYS = ("environment", "provider", "coldStartTolerance")

# Examples from the evaluation. That staging may keep replicas warm is ours: it is the way out of a slow cold start.
_SHAPES: Mapping[str, _Shape] = MappingProxyType(
    {
        "development": _Shape(
            "high", "one person waits", may=("cluster",), defaults={"minReplicas": 0, "maxReplicas": 1}
        ),
        "staging": _Shape(
            "medium",
            "a wait has a bound, maxColdStartMs",
            needs={"maxColdStartMs": 15000},
            may=("cluster", "minReplicas", "maxReplicas"),
            defaults={"minReplicas": 0, "maxReplicas": 1},
        ),
        "production": _Shape(
            "none",
            "users never wait for a start",
            needs={"minReplicas": 1, "maxReplicas": 10, "targetLatencyMs": 200},
            may=("cluster",),
        ),
    }
)

# The providers that the evaluation names; the ones that are in the registry are built.
_NAMED = ("local", "huggingface-free", "modal", "replicate", "dedicated-vllm", "together", "sagemaker")

# Only so that a missing key is reported once, by the environment's rule.
_PLACEHOLDERS = MappingProxyType({"coldStartTolerance": "high", "minReplicas": 1, "maxReplicas": 1})


def environment_of(value: Any) -> str | None:
    """The environment that a hosting names, whatever else is wrong with it; None where it names none that exists."""
    environment = value.get("environment") if isinstance(value, dict) else None
    return environment if isinstance(environment, str) and environment in _SHAPES else None


def read_hosting(value: Any, tiers: Mapping[str, Tier]) -> tuple[Hosting | None, list[Refused]]:
    """The hosting that `value` says, or None, and all that is wrong with it."""
    if not isinstance(value, dict):
        return validate(Hosting, "hosting", value)
    environment = environment_of(value)
    provider = value.get("provider")
    record = tiers.get(provider) if isinstance(provider, str) else None
    if record is not None and isinstance(value.get("cluster"), str):
        record = record.on(value["cluster"])
    shape = _SHAPES[environment] if environment else None
    hosting, mistakes = validate(Hosting, "hosting", _filled(value, shape, record))
    if environment is not None:
        mistakes += _shape_mistakes(value, environment, _SHAPES[environment])
    mistakes += _provider_mistakes(value, tiers)
    if hosting is not None and hosting.provider in tiers:
        mistakes += _order_mistakes(hosting)
        mistakes += _capability_mistakes(hosting, tiers[hosting.provider].on(hosting.cluster), tiers)
    return hosting, mistakes


def _filled(value: Mapping[str, Any], shape: _Shape | None, record: Tier | None) -> dict[str, Any]:
    """With the environment's defaults; zero replicas are a default only where the vendor wakes them by itself."""
    if shape is None:
        return {**_PLACEHOLDERS, **value}
    least = {} if record is None or record.kind is Kind.SERVERLESS_GPU else {"minReplicas": 1}
    return {**_PLACEHOLDERS, **shape.defaults, **least, "coldStartTolerance": shape.tolerance, **value}


def _shape_mistakes(value: Mapping[str, Any], environment: str, shape: _Shape) -> Iterator[Refused]:
    for name, example in shape.needs.items():
        if name not in value:
            where, fix = join("hosting", name), f"Add it, for example {name}: {example}."
            yield WrongSetting(f"{where} is missing: {environment} needs it.", fix=fix, where=where)
    for name in value:
        owners = [key for key, each in _SHAPES.items() if name in (*each.needs, *each.may)]
        if owners and environment not in owners:
            where, fix = join("hosting", name), f"Remove it; {one_of(owners)} has it."
            happened = f"{where} is {shown(value[name])}, but {environment} has no {name}."
            yield WrongSetting(happened, fix=fix, where=where)
    tolerance = value.get("coldStartTolerance", shape.tolerance)
    if tolerance != shape.tolerance and tolerance in [each.tolerance for each in _SHAPES.values()]:
        where, fix = join("hosting", "coldStartTolerance"), f"Write {shape.tolerance}, or leave the key out."
        happened = f"{where} is {tolerance}, but {environment} has {shape.tolerance}: {shape.why}."
        yield WrongSetting(happened, fix=fix, where=where)


def _provider_mistakes(value: Mapping[str, Any], tiers: Mapping[str, Tier]) -> Iterator[Refused]:
    name, environment, where = value.get("provider"), environment_of(value), join("hosting", "provider")
    if not isinstance(name, str):
        return
    if name not in tiers:
        built = ", ".join(f"{each.name} (for {one_of(each.environments)})" for each in tiers.values())
        said = "which is not built yet" if name in _NAMED else "but there is no such provider"
        fix = suggest(name, tuple(tiers)) or "Choose one of these."
        yield WrongSetting(f"{where} is {name}, {said}.", why=f"Built so far: {built}.", fix=fix, where=where)
    elif environment is not None and environment not in tiers[name].environments:
        record = tiers[name]
        yield WrongSetting(
            f"{where} is {name}, but {name} is for {one_of(record.environments)} only, not for {environment}.",
            why=f"{name} is {record.summary}.",
            fix=_other_providers(environment, record, tiers),
            where=where,
        )


def _other_providers(environment: str, record: Tier, tiers: Mapping[str, Tier]) -> str:
    names = [each.name for each in tiers.values() if _suits(each, environment) and each is not record]
    if names:
        return f"Choose {one_of(names)}."
    return f"No other provider for {environment} is built yet; set {join('hosting', 'environment')}: " + (
        f"{one_of(record.environments)}." if environment not in record.environments else "development."
    )


def _suits(record: Tier, environment: str) -> bool:
    """Whether a tier would pass the environment's rules, whatever the other settings."""
    warm = record.answers(Feature.WARM) and record.answers(Feature.UNLIMITED_RATE)
    return environment in record.environments and (warm or environment != "production")


def _order_mistakes(hosting: Hosting) -> Iterator[Refused]:
    if hosting.min_replicas > hosting.max_replicas:
        where = join("hosting", "minReplicas")
        yield WrongSetting(
            f"{where} is {hosting.min_replicas}, but maxReplicas is {hosting.max_replicas}.",
            fix="Make minReplicas the smaller one.",
            where=where,
        )


def _capability_mistakes(hosting: Hosting, record: Tier, tiers: Mapping[str, Tier]) -> Iterator[Refused]:
    if hosting.environment not in record.environments:
        return
    if hosting.environment == "production":
        yield from _production_mistakes(hosting, record, tiers)
    if hosting.environment == "staging" and hosting.max_cold_start_ms is not None:
        yield from _staging_mistakes(hosting, record, tiers, hosting.max_cold_start_ms)
    replicas = record.supports[Feature.REPLICAS]
    if hosting.environment != "development" and hosting.max_replicas > 1 and isinstance(replicas, No):
        where = join("hosting", "maxReplicas")
        yield WrongSetting(
            f"{where} is {hosting.max_replicas}, but {record.name} has one replica: {replicas.reason}.",
            fix=f"Set it to 1, or use {replicas.instead}.",
            where=where,
        )
    if hosting.cluster is not None and hosting.cluster in record.clusters:
        yield from choice_mistakes(join("hosting", "cluster"), hosting.cluster, record.clusters)
    if hosting.cluster is not None and record.kind is not Kind.DEDICATED_GPU:
        where = join("hosting", "cluster")
        yield WrongSetting(
            f"{where} is {hosting.cluster}, but {record.name} runs on no cluster of yours: it is {record.kind.value}.",
            fix="Remove it.",
            where=where,
        )


def choice_mistakes(where: str, value: str, answers: Mapping[str, Yes | No]) -> Iterator[Refused]:
    """Why a tier does not take this one of several (its clusters, its engines); nothing when it does."""
    answer = answers[value]
    if isinstance(answer, No):
        yield WrongSetting(f"{where} is {value}, but {answer.reason}.", fix=f"Use {answer.instead}.", where=where)


def _production_mistakes(hosting: Hosting, record: Tier, tiers: Mapping[str, Tier]) -> Iterator[Refused]:
    where, fix = join("hosting", "provider"), _other_providers("production", record, tiers)
    warm, rate = record.supports[Feature.WARM], record.supports[Feature.UNLIMITED_RATE]
    if isinstance(warm, No):
        happened = f"{where} is {record.name}, but production refuses what can start cold: {warm.reason}."
        yield WrongSetting(happened, why=_cold_start(record), fix=fix, where=where)
    if isinstance(rate, No):
        happened = f"{where} is {record.name}, but production refuses what is rate-limited: {rate.reason}."
        yield WrongSetting(happened, fix=fix, where=where)
    if hosting.min_replicas < 1:
        where = join("hosting", "minReplicas")
        yield WrongSetting(
            f"{where} is {hosting.min_replicas}, but production keeps at least one replica warm.",
            fix="Set it to 1 or more.",
            where=where,
        )


def _staging_mistakes(hosting: Hosting, record: Tier, tiers: Mapping[str, Tier], bound: int) -> Iterator[Refused]:
    """Refuses what cannot start in time at its fastest, unless a replica is always kept."""
    warm = record.answers(Feature.WARM)
    cold = not warm or (hosting.min_replicas == 0 and record.answers(Feature.SCALE_TO_ZERO))
    if not cold or record.cold_start.low_ms <= bound:
        return
    where = join("hosting", "maxColdStartMs")
    fast = [t.name for t in tiers.values() if "staging" in t.environments and t.cold_start.low_ms <= bound]
    ways = [f"set {join('hosting', 'minReplicas')}: 1"] if warm else []
    ways += [f"choose {one_of(fast)}"] if fast else [f"raise it to {record.cold_start.low_ms} or more"]
    yield WrongSetting(
        f"{where} is {bound}, but {_cold_start(record)}",
        fix=f"Either {ways[0]}, or {ways[1]}." if len(ways) == 2 else f"{ways[0].capitalize()}.",
        where=where,
    )


def _cold_start(record: Tier) -> str:
    low, high = (f"{value:,}".replace(",", " ") for value in (record.cold_start.low_ms, record.cold_start.high_ms))
    source = f"{record.cold_start.source}, {record.cold_start.date}"
    return f"{record.name} needs {low} to {high} ms to start from zero ({source})."
