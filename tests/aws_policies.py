"""A strict check of IAM policies: what they allow, and whether that is what the code calls; nothing missing, no more.

Evaluates what the policies here use: Allow and Deny, Action and Resource patterns, and the operators in `_OPERATORS`.
Anything else in a document (NotAction, an unknown operator) is an error, never read as harmless.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

Document = Mapping[str, Any]

_KEYS = {"Sid", "Effect", "Action", "Resource", "Condition"}


@dataclass(frozen=True)
class Call:
    """One call that the code makes: `action` (`s3:GetObject`), the ARN it names ("*" where the action takes none),
    and what AWS would put into the request's context."""

    action: str
    resource: str = "*"
    context: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)


def refused(document: Document, calls: Sequence[Call]) -> list[Call]:
    """The calls that the policy does not allow: what is missing."""
    return [call for call in calls if not allows(document, call)]


def unneeded(document: Document, calls: Sequence[Call]) -> list[str]:
    """The `Sid: action on resource` of each grant that none of the calls uses: what is too much."""
    return [
        f"{statement.get('Sid', number)}: {action} on {resource}"
        for number, statement in enumerate(_statements(document))
        if statement["Effect"] == "Allow"
        for action in _list(statement["Action"])
        for resource in _list(statement["Resource"])
        if not any(_grants(statement, action, resource, call) for call in calls)
    ]


def allows(document: Document, call: Call) -> bool:
    """Whether the policy alone allows the call: an Allow, and no Deny."""
    effects = {statement["Effect"] for statement in _statements(document) if _matches(statement, call)}
    return effects == {"Allow"}


def wide_open(document: Document) -> list[str]:
    """The `Sid: action` of each grant of a wildcard action on a wildcard resource without a condition."""
    return [
        f"{statement.get('Sid', number)}: {action}"
        for number, statement in enumerate(_statements(document))
        if statement["Effect"] == "Allow" and "*" in _list(statement["Resource"]) and "Condition" not in statement
        for action in _list(statement["Action"])
        if "*" in action
    ]


def on_everything(document: Document) -> list[str]:
    """The actions that are granted on `*` without a condition, sorted: each must be one that takes no resource."""
    return sorted(
        action
        for statement in _statements(document)
        if statement["Effect"] == "Allow" and "*" in _list(statement["Resource"]) and "Condition" not in statement
        for action in _list(statement["Action"])
    )


def unknown_actions(document: Document, operations: Mapping[str, set[str]]) -> list[str]:
    """The actions whose service is in `operations` (IAM prefix -> API operations) and which it does not have."""
    actions = (action for statement in _statements(document) for action in _list(statement["Action"]))
    return [
        action
        for action in actions
        if (service := action.partition(":")[0]) in operations
        and not any(fnmatchcase(name, action.partition(":")[2]) for name in operations[service])
    ]


def _statements(document: Document) -> Iterator[Mapping[str, Any]]:
    assert document["Version"] == "2012-10-17"
    for statement in document["Statement"]:
        unread = set(statement) - _KEYS
        assert not unread, f"this check does not read {sorted(unread)}"
        yield statement


def _list(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _grants(statement: Mapping[str, Any], action: str, resource: str, call: Call) -> bool:
    return _matches({**statement, "Action": action, "Resource": resource}, call)


def _matches(statement: Mapping[str, Any], call: Call) -> bool:
    return (
        any(fnmatchcase(call.action.lower(), action.lower()) for action in _list(statement["Action"]))
        and any(_fits(call.resource, resource) for resource in _list(statement["Resource"]))
        and all(
            _OPERATORS[operator](call.context.get(key), _list(wanted))
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _fits(value: str, pattern: str) -> bool:
    """IAM's patterns know `*` and `?` only; brackets are text."""
    return fnmatchcase(value, pattern.replace("[", "[[]"))


def _equals(found: Any, wanted: list[str]) -> bool:
    return isinstance(found, str) and found in wanted


def _like(found: Any, wanted: list[str]) -> bool:
    return isinstance(found, str) and any(_fits(found, each) for each in wanted)


def _if_exists(found: Any, wanted: list[str]) -> bool:
    return found is None or _equals(found, wanted)


def _null(found: Any, wanted: list[str]) -> bool:
    return wanted == ["true" if found is None else "false"]


def _all_of(found: Any, wanted: list[str]) -> bool:
    return found is None or set(_list(found)) <= set(wanted)


_OPERATORS = {
    "StringEquals": _equals,
    "ArnEquals": _equals,
    "StringLike": _like,
    "ArnLike": _like,
    "StringEqualsIfExists": _if_exists,
    "Null": _null,
    "ForAllValues:StringEquals": _all_of,
    "Bool": _equals,
}
