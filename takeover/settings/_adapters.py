"""`takeover:adapter` or `takeover:adapters`: where the adapters are, and whether a tier can serve them together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from takeover.errors import Refused
from takeover.registry.address import Address, is_address, parse_address
from takeover.settings._messages import USE_ADAPTER, no_mapping, one_of, validate
from takeover.settings._models import AdapterKeys, AdapterSource, SourceKind
from takeover.settings._raw import NAMESPACE, WrongSetting, join, shown
from takeover.settings._settings import Settings
from takeover.tiers import TIERS, Feature, No, Tier

__all__ = ["Trained", "check_against_tier", "many_mistakes", "read_adapters", "read_previous"]


class Trained(Protocol):
    """What the rules read of an adapter's manifest (`takeover.adapter.Manifest`)."""

    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def base(self) -> str: ...
    @property
    def base_revision(self) -> str: ...
    @property
    def rank(self) -> int: ...


def read_adapters(values: Mapping[str, Any], environment: str | None) -> tuple[list[AdapterSource], list[Refused]]:
    """The adapters of `values` (all keys of the stack), and all that is wrong with them."""
    if ("adapter" in values) == ("adapters" in values):
        both = f"{NAMESPACE}:adapter and {NAMESPACE}:adapters"
        happened = f"{both} are both set." if "adapter" in values else f"{both} are both missing."
        fix = "Name one adapter under adapter, or several on one base under adapters."
        return [], [WrongSetting(happened, fix=fix, where=join("adapter"))]
    if "adapter" in values:
        return _read_each("adapter", [((), values["adapter"])], environment)
    several = values["adapters"]
    if not isinstance(several, list) or not several:
        where = join("adapters")
        happened = f"{where} is {shown(several)}, but must be a list of at least one adapter."
        return [], [WrongSetting(happened, fix="Each item has a source and a digest.", where=where)]
    return _read_each("adapters", [((index,), value) for index, value in enumerate(several)], environment)


def read_previous(values: Mapping[str, Any], environment: str | None) -> tuple[list[AdapterSource], list[Refused]]:
    """`takeover:previous`, one adapter or a list of them: versions that new servers answer for too."""
    given = values.get("previous", [])
    if isinstance(given, list):
        return _read_each("previous", [((index,), value) for index, value in enumerate(given)], environment)
    return _read_each("previous", [((), given)], environment)


def _read_each(
    key: str, items: Sequence[tuple[tuple[int, ...], Any]], environment: str | None
) -> tuple[list[AdapterSource], list[Refused]]:
    sources: list[AdapterSource] = []
    mistakes: list[Refused] = []
    for path, value in items:
        keys, wrong = (
            validate(AdapterKeys, key, value, *path)
            if isinstance(value, dict)
            else (None, [no_mapping(join(key, *path), value, AdapterKeys)])
        )
        mistakes += wrong
        if keys is None:
            continue
        kind, inside, wrong = _place_of(join(key, *path, "source"), keys.source)
        digest = keys.digest or inside
        mistakes += wrong
        mistakes += _two_digests(join(key, *path, "digest"), keys.source, digest, inside)
        mistakes += _digest_mistakes(join(key, *path, "digest"), keys.source, digest, kind, environment)
        mistakes += _twice(join(key, *path, "source"), keys.source, sources)
        sources.append(AdapterSource(key=join(key, *path), source=keys.source, kind=kind, digest=digest))
    return sources, mistakes


def _place_of(where: str, source: str) -> tuple[SourceKind, str | None, list[Refused]]:
    """What sort of place a source is, and the digest that stands in it. Nothing is asked: only the form is checked."""
    if not is_address(source):
        empty = WrongSetting(f'{where} is "", but must name a folder.', fix=USE_ADAPTER, where=where)
        return "folder", None, [] if source.strip() else [empty]
    try:
        address = parse_address(source)
    except Refused as error:
        happened = f"{where} is {shown(source)}, but {error.happened.removeprefix('it ')}."
        return "folder", None, [WrongSetting(happened, fix=error.fix, where=where)]
    return address.kind, address.digest, list(_moving_mistakes(where, source, address))


def _moving_mistakes(where: str, source: str, address: Address) -> Iterator[Refused]:
    """A repository without its commit. A bucket's version is named by the digest, which has a key of its own."""
    if address.kind != "hf" or address.commit:
        return
    fix = f"`takeover adapter use {address} --stack STACK` writes the commit and the digest."
    if address.revision is None:
        happened = f"{where} is {shown(source)}, but must be hf://OWNER/NAME@COMMIT."
        yield WrongSetting(happened, fix=fix, where=where)
    else:
        happened = f"{where} is {shown(source)}, but {address.revision} is no commit."
        why = "A branch or a tag moves; what is deployed must not."
        yield WrongSetting(happened, why=why, fix=fix, where=where)


def _two_digests(where: str, source: str, digest: str | None, inside: str | None) -> Iterator[Refused]:
    if None not in (digest, inside) and digest != inside:
        happened = f"{where} is {digest}, but the source beside it is {source}."
        yield WrongSetting(happened, fix="Name one digest, in one of the two places.", where=where)


def _digest_mistakes(
    where: str, source: str, digest: str | None, kind: SourceKind, environment: str | None
) -> Iterator[Refused]:
    """Only in development, and only a folder, may go without a digest; an unknown environment is reported elsewhere."""
    if digest is not None or environment is None:
        return
    if environment != "development":
        happened = f"{where} is missing: {environment} deploys an adapter only by its digest."
        yield WrongSetting(happened, fix=USE_ADAPTER, where=where)
    elif kind != "folder":
        happened = f"{where} is missing: only a folder may go without, and {source} is none."
        yield WrongSetting(happened, fix="Add the digest that stands in the adapter's manifest.json.", where=where)


def _twice(where: str, source: str, before: Sequence[AdapterSource]) -> Iterator[Refused]:
    for other in before:
        if other.source.rstrip("/") == source.rstrip("/"):
            happened = f"{where} is {shown(source)}, which {other.key}.source names already."
            yield WrongSetting(happened, fix="Remove one of the two.", where=where)


def many_mistakes(sources: Sequence[AdapterSource], record: Tier) -> Iterator[Refused]:
    """Several adapters where the tier serves one."""
    many = record.supports[Feature.MANY_ADAPTERS]
    if len(sources) > 1 and isinstance(many, No):
        where = join("adapters")
        happened = f"{where} has {len(sources)} items, but {record.name} serves one adapter: {many.reason}."
        yield WrongSetting(happened, fix=f"Keep one, or use {many.instead}.", where=where)


def check_against_tier(
    settings: Settings, manifests: Sequence[Trained], *, tiers: Mapping[str, Tier] = TIERS
) -> list[Refused]:
    """What is wrong with these adapters on the stack's tier; empty when all is well.

    `manifests` are those of `settings.adapter_sources`, in that order. Pure: the caller opens the adapters, and raises.
    """
    record = tiers[settings.hosting.provider].on(settings.hosting.cluster)
    pairs = list(zip(settings.adapter_sources, manifests, strict=True))
    mistakes: list[Refused] = []
    for index, (source, manifest) in enumerate(pairs):
        where = f"{source.key}.source"
        mistakes += _rank_mistakes(where, source.source, manifest, record, tiers)
        mistakes += _base_mistakes(where, source, manifest, pairs[0])
        mistakes += _name_mistakes(where, source, manifest, pairs[:index])
    return mistakes


def _rank_mistakes(
    where: str, source: str, manifest: Trained, record: Tier, tiers: Mapping[str, Tier]
) -> Iterator[Refused]:
    if manifest.rank <= record.largest_rank:
        return
    larger = [f"{each.name}, which serves up to {each.largest_rank}" for each in _tiers_for(manifest.rank, tiers)]
    ways = [f"train with a rank of at most {record.largest_rank}", *(f"use {text}" for text in larger)]
    yield WrongSetting(
        f"{where} is {source}, whose rank is {manifest.rank}, but {record.name} serves at most {record.largest_rank}.",
        fix=f"{one_of(ways)}.".capitalize() if len(ways) == 1 else "Either " + one_of(ways) + ".",
        where=where,
    )


def _tiers_for(rank: int, tiers: Mapping[str, Tier]) -> list[Tier]:
    return [each for each in tiers.values() if each.largest_rank >= rank]


def _base_mistakes(
    where: str, source: AdapterSource, manifest: Trained, first: tuple[AdapterSource, Trained]
) -> Iterator[Refused]:
    theirs, ours = _base_of(first[1]), _base_of(manifest)
    if theirs == ours:
        return
    yield WrongSetting(
        f"{where} is {source.source}, trained on {ours}, but {first[0].key}.source is {first[0].source}, "
        f"trained on {theirs}.",
        why="The adapters of one endpoint share one base.",
        fix="Give each base a stack of its own, or train again on the same base.",
        where=where,
    )


def _base_of(manifest: Trained) -> str:
    pinned = manifest.base.endswith(manifest.base_revision)
    return manifest.base if pinned else f"{manifest.base} ({manifest.base_revision[:19]})"


def _name_mistakes(
    where: str, source: AdapterSource, manifest: Trained, before: Sequence[tuple[AdapterSource, Trained]]
) -> Iterator[Refused]:
    for other, theirs in before:
        if theirs.name != manifest.name:
            continue
        same = "the very same adapter" if theirs.digest == manifest.digest else "another version"
        yield WrongSetting(
            f"{where} is {source.source}, named {manifest.name}, but {other.key}.source ({other.source}) has that name "
            f"too: it is {same}.",
            why="A caller chooses an adapter by its name.",
            fix="Keep one of the two, or train one under another name.",
            where=where,
        )
