"""The Hub's description (hub_description.json), as a judge of requests and of the fake's own answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jsonschema import Draft202012Validator

DESCRIPTION = json.loads(Path(__file__).with_name("hub_description.json").read_text(encoding="utf-8"))
LICENCES = frozenset(DESCRIPTION["licences"])


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Longest first, so that /commit/{rev} is not read as a repository's file; a trailing {path} may be missing."""

    def pattern(path: str) -> re.Pattern[str]:
        text = re.escape(path).replace(r"/\{path\}", r"(?:/(?P<path>.+))?")
        return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", text))

    paths = sorted(DESCRIPTION["paths"], key=lambda path: (path.count("{"), -len(path)))
    return tuple((pattern(path), path) for path in paths)


def route(path: str) -> tuple[str, dict[str, str]] | None:
    """The described path that a request's path fits, and what stands in its places."""
    for pattern, described in _patterns():
        if match := pattern.fullmatch(path):
            return described, {name: unquote(value or "") for name, value in match.groupdict().items()}
    return None


def wrong_request(described: str, method: str, query: Mapping[str, str], kind: str, body: bytes) -> Iterator[str]:
    """What in a request is not as described: method, query names, the body's fields and types."""
    facts = DESCRIPTION["paths"][described].get(method.lower())
    if facts is None:
        yield f"{method} {described}: the method is not described"
        return
    for name in query:
        if name.removesuffix("[]") not in facts.get("query", {}):
            yield f"{method} {described}: the query {name} is not described"
    if "lines" in facts:
        if kind != "application/x-ndjson":
            yield f"{method} {described}: Content-Type is {kind}"
        for number, text in enumerate(body.splitlines()):
            yield from _wrong(facts["lines"], text, f"{method} {described}: line {number}")
    elif "body" in facts:
        yield from _wrong(facts["body"], body, f"{method} {described}")


def wrong_answer(described: str, method: str, status: int, body: bytes) -> Iterator[str]:
    """What in the fake's own answer is not as described; errors (4xx, 5xx) are not described by the Hub."""
    answers = DESCRIPTION["paths"][described][method.lower()].get("answers", {})
    if status >= 400:
        return
    if str(status) not in answers:
        yield f"{method} {described}: the fake answers {status}, which is not described"
    elif answers[str(status)] and status == 200 and method != "HEAD":
        yield from _wrong(answers["200"], body, f"{method} {described}: the fake's answer")


def _wrong(schema: Any, body: bytes, where: str) -> Iterator[str]:
    try:
        value = json.loads(body)
    except ValueError:
        yield f"{where}: no JSON"
        return
    for error in Draft202012Validator(schema).iter_errors(value):
        yield f"{where}: {error.json_path}: {error.message[:200]}"


def card_errors(content: str) -> list[str]:
    """Some of what the Hub's own check of a card refuses, by the published rules (hub-docs modelcard.md)."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    match = re.match(r"---\n(.*?)\n---", content, re.DOTALL)
    try:
        data = YAML(typ="safe").load(match[1]) if match else {}
    except YAMLError:
        return ["YAML is not valid"]
    checks = {
        "license": lambda value: value in LICENCES,
        "base_model": lambda value: isinstance(value, str) and re.fullmatch(r"[\w.-]+/[\w.-]+", value),
        "tags": lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value),
        "library_name": lambda value: isinstance(value, str),
        "datasets": lambda value: isinstance(value, list),
        "emoji": lambda value: value.isascii() is False,  # one of the rules that only the Hub knows
    }
    return [f'"{key}" is not valid' for key, check in checks.items() if key in data and not check(data[key])]
