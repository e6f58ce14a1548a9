"""IAM policy documents as plain data. Pure: what comes out is what `json.dumps` is given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Statement", "allow", "as_json", "deny", "policy_document", "trust", "trust_pods"]

Statement = dict[str, Any]
Conditions = Mapping[str, Mapping[str, str | Sequence[str]]]


def allow(sid: str, actions: Sequence[str], on: str | Sequence[str], *, when: Conditions | None = None) -> Statement:
    """One statement that allows `actions` on the resources `on`, under all of the conditions `when`.

    Actions and resources are sorted, so that a document has one form only; a preview then shows what changed.
    """
    return _statement("Allow", sid, actions, on, when)


def deny(sid: str, actions: Sequence[str], on: str | Sequence[str], *, when: Conditions | None = None) -> Statement:
    """One statement that denies."""
    return _statement("Deny", sid, actions, on, when)


def _statement(
    effect: str, sid: str, actions: Sequence[str], on: str | Sequence[str], when: Conditions | None
) -> Statement:
    statement: Statement = {"Sid": sid, "Effect": effect, "Action": sorted(actions), "Resource": _sorted(on)}
    if when:
        statement["Condition"] = {
            operator: {key: _sorted(value) for key, value in keys.items()} for operator, keys in when.items()
        }
    return statement


def _sorted(value: str | Sequence[str]) -> str | list[str]:
    return value if isinstance(value, str) else sorted(value)


def policy_document(*statements: Statement) -> dict[str, Any]:
    """A policy of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def trust(service: str, *, when: Conditions | None = None) -> dict[str, Any]:
    """Who may assume a role: one AWS service (`eks.amazonaws.com`)."""
    return _trust(service, ["sts:AssumeRole"], when)


def trust_pods(namespace: str, service_account: str, *, cluster: str) -> dict[str, Any]:
    """Who may assume a role: the pods of one service account in one cluster (by name), by EKS Pod Identity.

    The agent puts the names into session tags (docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html, read
    2026-11-25), so that nobody who may associate roles can hand this one to another service account.
    """
    tags = {
        "aws:RequestTag/eks-cluster-name": cluster,
        "aws:RequestTag/kubernetes-namespace": namespace,
        "aws:RequestTag/kubernetes-service-account": service_account,
    }
    return _trust("pods.eks.amazonaws.com", ["sts:AssumeRole", "sts:TagSession"], {"StringEquals": tags})


def _trust(service: str, actions: list[str], when: Conditions | None) -> dict[str, Any]:
    statement: Statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": actions}
    if when:
        statement["Condition"] = {operator: dict(keys) for operator, keys in when.items()}
    return policy_document(statement)


def as_json(document: Mapping[str, Any]) -> str:
    """The document's text, in one form only."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"))
