"""A stack's settings from Pulumi's config, or from the stack's file: all mistakes at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from takeover.errors import Refusals, Refused
from takeover.settings._adapters import many_mistakes, read_adapters, read_previous
from takeover.settings._hosting import environment_of, read_hosting
from takeover.settings._messages import suggest, validate
from takeover.settings._models import Budget, Hosting, Workload
from takeover.settings._raw import NAMESPACE, WrongSetting, join, parse_value
from takeover.settings._settings import OPTIONS, Settings
from takeover.tiers import TIERS, Tier

__all__ = ["parse_settings", "raw_from_stack_file", "settings_from_stack_file"]

_KEYS = ("hosting", "adapter", "adapters", "previous", "workload", "budget", *OPTIONS)


def parse_settings(raw: Mapping[str, str], *, stack: str, tiers: Mapping[str, Tier] = TIERS) -> Settings:
    """The settings of `stack`. Pure.

    `raw` maps each key without its namespace (`hosting`) to the text that Pulumi's config holds: JSON for mappings and
    lists, the bare text for scalars. Raises Refusals with every mistake, each naming the YAML key and the value.
    """
    mistakes: list[Refused] = list(_unknown_keys(raw))
    values = _values(raw, mistakes)
    hosting = _hosting(values, tiers, mistakes)
    adapters, wrong = read_adapters(values, environment_of(values.get("hosting")))
    mistakes += wrong
    if hosting is not None and hosting.provider in tiers:
        mistakes += many_mistakes(adapters, tiers[hosting.provider].on(hosting.cluster))
    previous, wrong = read_previous(values, environment_of(values.get("hosting")))
    mistakes += wrong
    workload, wrong = validate(Workload, "workload", values["workload"]) if "workload" in values else (None, [])
    mistakes += wrong
    budget, wrong = validate(Budget, "budget", values["budget"]) if "budget" in values else (None, [])
    mistakes += wrong
    options: dict[str, BaseModel | None] = {}
    for name in OPTIONS:
        options[name] = _options(name, values, hosting, len(adapters), options, mistakes)
    Refusals.raise_if_any(f"the settings of the stack {stack}", mistakes)
    assert hosting is not None, "without hosting there is a mistake"
    sources = tuple(adapters)
    return Settings.model_validate(
        {
            "stack": stack,
            "hosting": hosting,
            "adapter_sources": sources,
            "previous_sources": tuple(previous),
            "workload": workload,
            "budget": budget,
            "unused": tuple(join(name) for name, key in OPTIONS.items() if name in values and not key.is_for(hosting)),
            **{name.replace("-", "_"): chosen for name, chosen in options.items()},
        }
    )


def _unknown_keys(raw: Mapping[str, str]) -> Iterator[Refused]:
    for key in raw:
        if key not in _KEYS:
            fix = f"{suggest(key, _KEYS)} The keys are {', '.join(f'{NAMESPACE}:{each}' for each in _KEYS)}.".strip()
            yield WrongSetting(f"{join(key)} is not a setting.", fix=fix, where=join(key))


def _values(raw: Mapping[str, str], mistakes: list[Refused]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key in _KEYS:
        if key in raw:
            values[key], wrong = parse_value(key, raw[key])
            mistakes += wrong
    return values


def _hosting(values: Mapping[str, Any], tiers: Mapping[str, Tier], mistakes: list[Refused]) -> Hosting | None:
    if "hosting" in values:
        hosting, wrong = read_hosting(values["hosting"], tiers)
        mistakes += wrong
        return hosting
    fix = "Add it, for example {environment: development, provider: local}."
    mistakes.append(WrongSetting(f"{join('hosting')} is missing.", fix=fix, where=join("hosting")))
    return None


def _options(
    name: str,
    values: Mapping[str, Any],
    hosting: Hosting | None,
    adapters: int,
    before: Mapping[str, BaseModel | None],
    mistakes: list[Refused],
) -> BaseModel | None:
    """A tier's own options, checked; None where another one is chosen.

    They may stay in the file meanwhile, so that a move to another tier and back changes one line, `provider:`.
    """
    key = OPTIONS[name]
    is_chosen = hosting is not None and key.is_for(hosting)
    if name not in values and not is_chosen:
        return None
    options, wrong = validate(key.model, name, values.get(name, {}))
    mistakes += wrong
    if options is not None:
        mistakes += key.mistakes(options, hosting if is_chosen else None, adapters if is_chosen else 1, before)
    return options if is_chosen else None


def raw_from_stack_file(path: Path) -> dict[str, str]:
    """The project's config of one `Pulumi.<stack>.yaml`, in the form that Pulumi hands it to a program."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        document = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refused(
            f"there is no file {path.name}", fix="Name a stack that has one, or copy Pulumi.dev.yaml.", where=str(path)
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise Refused(f"{path.name} is no readable YAML", why=str(error), where=str(path)) from None
    config = document.get("config") if isinstance(document, dict) else None
    if config is not None and not isinstance(config, dict):
        raise Refused(f"config in {path.name} is no mapping", fix="Write the settings under config:.", where=str(path))
    prefix = f"{NAMESPACE}:"
    return {
        str(key)[len(prefix) :]: value if isinstance(value, str) else json.dumps(value, default=str)
        for key, value in (config or {}).items()
        if str(key).startswith(prefix)
    }


def settings_from_stack_file(path: Path) -> Settings:
    """The settings that one `Pulumi.<stack>.yaml` holds; Refused where it cannot be read, else as `parse_settings`."""
    stack = path.name.removeprefix("Pulumi.").removesuffix(".yaml")
    return parse_settings(raw_from_stack_file(path), stack=stack)
