"""What pydantic found, as sentences about the YAML: key, value, what is allowed, what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from takeover.errors import Refused
from takeover.settings._raw import WrongSetting, join, shown

__all__ = ["USE_ADAPTER", "keys_of", "no_mapping", "one_of", "suggest", "unknown_key", "validate"]

Model = TypeVar("Model", bound=BaseModel)

USE_ADAPTER = "`takeover adapter use DIR --stack STACK` writes source and digest."
# What a pattern asks for, and what to do, by the key that has one.
_PATTERNS: Mapping[str, tuple[str, str]] = {
    "digest": ("sha256: and 64 small hexadecimal digits", USE_ADAPTER),
    "engine": ("takeover, vllm, or the URL of a running server", ""),
    "gpu": (
        "one of Modal's GPUs, with a count after a colon where it is not 1",
        "They are T4, L4, A10, L40S, A100-40GB, A100-80GB, RTX-PRO-6000, H100, H200 and B200.",
    ),
    "basesVolume": ("a name of letters, digits, dots, dashes and underscores", ""),
    "replicaUrls": ("http:// or https://, a host, and a port where it is another one", ""),
    "sharedPath": ("a folder's whole path", ""),
    "sharedPathThere": ("a folder's whole path, as the server sees it", ""),
    "vllm": ("a version of vLLM, such as 0.33.0", ""),
}


def one_of(names: Sequence[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    *front, last = names
    return f"{', '.join(front)} or {last}" if front else last


def suggest(name: str, known: Sequence[str]) -> str:
    """`Did you mean x?`, or nothing when nothing is near."""
    near = get_close_matches(name, known, n=1, cutoff=0.6) or [item for item in known if item.lower() == name.lower()]
    return f"Did you mean {near[0]}?" if near else ""


def keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The keys of a model as they are written in the YAML."""
    return tuple(info.alias or name for name, info in model.model_fields.items())


def unknown_key(where: str, parent: str, name: str, known: Sequence[str]) -> Refused:
    fix = f"{suggest(name, known)} The keys are {', '.join(known)}.".strip()
    return WrongSetting(f"{where} is not a key of {parent}.", fix=fix, where=where)


def no_mapping(where: str, value: Any, model: type[BaseModel]) -> Refused:
    return WrongSetting(
        f"{where} is {shown(value)}, but must be a mapping.",
        fix=f"Its keys are {', '.join(keys_of(model))}.",
        where=where,
    )


def _wanted(kind: str, more: str) -> Callable[[ErrorDetails], tuple[str, str]]:
    return lambda _error: (kind, more)


def _bound(words: str) -> Callable[[ErrorDetails], tuple[str, str]]:
    return lambda error: (f"must be {words} {next(iter(error['ctx'].values())):g}", "")


def _pattern(error: ErrorDetails) -> tuple[str, str]:
    wanted, fix = _PATTERNS[next(part for part in reversed(error["loc"]) if isinstance(part, str))]
    return f"must be {wanted}", fix


def _in_other_words(error: ErrorDetails) -> tuple[str, str]:
    """For what a later pydantic, or a model that gets new rules, may find."""
    return f"is wrong: {error['msg']}", ""


# By pydantic's error type: what must stand there instead, and what to do.
_SENTENCES: Mapping[str, Callable[[ErrorDetails], tuple[str, str]]] = {
    "bool_type": _wanted("must be true or false", "Write it without quotes."),
    "finite_number": _wanted("must be a finite number", ""),
    "float_type": _wanted("must be a number", "Write it without quotes."),
    "greater_than": _bound("more than"),
    "greater_than_equal": _bound("at least"),
    "int_type": _wanted("must be a whole number", "Write it in digits, without quotes."),
    "less_than_equal": _bound("at most"),
    "string_pattern_mismatch": _pattern,
    "tuple_type": _wanted("must be a list", ""),
    "string_type": _wanted("must be text", "Put it in quotes."),
}


def _sentence(error: ErrorDetails, key: str, prefix: tuple[str | int, ...], model: type[BaseModel]) -> Refused:
    where = join(key, *prefix, *error["loc"])
    if error["type"] == "missing":
        fix = _missing_fix(_model_at(model, error["loc"]), str(error["loc"][-1]))
        return WrongSetting(f"{where} is missing.", fix=fix, where=where)
    if error["type"] == "extra_forbidden":
        *parent, name = error["loc"]
        known = keys_of(_model_at(model, error["loc"]))
        return unknown_key(where, join(key, *prefix, *parent), str(name), known)
    if error["type"] == "literal_error":
        choices = [choice.strip("'") for choice in error["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        wanted, fix = f"must be {one_of(choices)}", suggest(str(error["input"]), choices)
    else:
        wanted, fix = _SENTENCES.get(error["type"], _in_other_words)(error)
    return WrongSetting(f"{where} is {shown(error['input'])}, but {wanted}.", fix=fix, where=where)


def _model_at(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel]:
    """The model, perhaps a nested one, that the last part of `path` is a key of."""
    for part in path[:-1]:
        found = [info.annotation for name, info in model.model_fields.items() if (info.alias or name) == part]
        model = next((each for kind in found for each in _models_in(kind)), model)
    return model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for kind in get_args(annotation) for model in _models_in(kind)]


def _missing_fix(model: type[BaseModel], name: str) -> str:
    """The choices where there are choices, else nothing: the key's name says what it is."""
    info = next(info for field, info in model.model_fields.items() if (info.alias or field) == name)
    choices = get_args(info.annotation)
    return (
        f"Add it: {one_of(choices)}." if choices and all(isinstance(choice, str) for choice in choices) else "Add it."
    )


def validate(
    model: type[Model], key: str, value: Any, *prefix: str | int
) -> tuple[Model, list[Refused]] | tuple[None, list[Refused]]:
    """The model of one mapping, or all that is wrong with it."""
    if not isinstance(value, dict):
        return None, [no_mapping(join(key, *prefix), value, model)]
    try:
        return model.model_validate(value), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=True)
        return None, [_sentence(detail, key, prefix, model) for detail in details]
