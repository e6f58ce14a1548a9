"""What an API server's refusal means, as the errors of `takeover.errors`. Pure.

Bodies are `Status` objects (k8s.io/apimachinery, meta/v1): reason, message, and details with the object and the causes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from takeover.errors import AuthError, NotReady, QuotaError, RateLimited, Refused, TakeoverError, VendorError
from takeover.providers._http import Request, Response, error_of

__all__ = ["Denied", "kube_error", "status_of"]

# `deployments.apps "x" is forbidden: User "u" cannot patch resource "deployments" in API group "apps" in the
# namespace "n"`, or `... at the cluster scope` (k8s.io/apiserver, endpoints/handlers/responsewriters/errors.go).
_DENIED = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)"'
    r'(?: in API group "(?P<group>[^"]*)")?(?: in the namespace "(?P<namespace>[^"]*)")?'
)
_LONGEST = 600
# A field that the schema lacks is answered with status 500 under server-side apply (1.36.3, tests/cluster).
_TYPED = "failed to create typed patch object"
_VERSION_FIX = (
    "The cluster or the operator there is older than what this writes: docs/kubernetes.md says which is needed."
)


class Denied(AuthError):
    """Known, but without the right: where that right is no must, one goes on without."""


def status_of(response: Response) -> Mapping[str, Any]:
    """The Status in the body; empty where it is something else (a proxy's page, a plain text)."""
    try:
        body = json.loads(response.text)
    except ValueError:
        return {}
    return body if isinstance(body, dict) and body.get("kind") == "Status" else {}


def kube_error(response: Response, request: Request, subject: str) -> TakeoverError | None:
    """The error that an answer stands for, None for 2xx; `subject` is the object in words (`Deployment chat`)."""
    if 200 <= response.status < 300:
        return None
    status = status_of(response)
    said = str(status.get("message") or response.text).strip()[:_LONGEST]
    why = f"HTTP {response.status}: {said}" if said else f"HTTP {response.status}"
    if _TYPED in said:
        return Refused(f"{request.to} knows no such field in {subject}", why=why, fix=_VERSION_FIX)
    known = {
        400: _bad_request,
        401: _unknown_user,
        403: _forbidden,
        404: _missing,
        409: _conflict,
        422: _invalid,
    }.get(response.status)
    if known is not None:
        return known(request, subject, status, why)
    general = error_of(response, request)
    if isinstance(general, (RateLimited, NotReady)) or general is None:
        return general
    return VendorError(f"{request.to} failed at {subject}", why=why)


def _bad_request(request: Request, subject: str, status: Mapping[str, Any], why: str) -> TakeoverError:
    return Refused(f"{request.to} does not take {subject}", why=why, fix=_webhook_fix(why))


def _unknown_user(request: Request, subject: str, status: Mapping[str, Any], why: str) -> TakeoverError:
    return AuthError(
        f"{request.to} does not accept the kubeconfig's credentials",
        why=why,
        fix="Log in again; for EKS: `aws sso login`, `aws eks update-kubeconfig`, and an access entry for the role.",
    )


def _forbidden(request: Request, subject: str, status: Mapping[str, Any], why: str) -> TakeoverError:
    denied = _DENIED.search(why)
    if denied is not None:
        resource = ".".join(part for part in (denied["resource"], denied["group"]) if part)
        where = f"in the namespace {denied['namespace']}" if denied["namespace"] else "in the whole cluster"
        return Denied(
            f"RBAC of {request.to} lacks the verb {denied['verb']} on {resource} {where} for {denied['user']}",
            why=why,
            fix="Bind a Role with it to that user; docs/kubernetes-role.yaml is the whole one.",
        )
    if "exceeded quota" in why:
        return QuotaError(f"a ResourceQuota leaves no room for {subject}", why=why, fix="Raise it, or ask for less.")
    if "admission webhook" in why or "ValidatingAdmissionPolicy" in why or "violates PodSecurity" in why:
        return Refused(f"a policy of {request.to} refuses {subject}", why=why, fix=_webhook_fix(why))
    return Denied(f"{request.to} forbids {subject}", why=why, fix="Ask whoever runs the cluster.")


def _missing(request: Request, subject: str, status: Mapping[str, Any], why: str) -> TakeoverError:
    details = status.get("details") or {}
    if details.get("kind") == "namespaces":
        name = details.get("name", "")
        return Refused(
            f"{request.to} has no namespace {name}",
            why=why,
            fix=f"Create it (kubectl create namespace {name}), or name another in takeover:kubernetes.namespace.",
            where="takeover:kubernetes.namespace",
        )
    if not details.get("name"):
        return Refused(
            f"{request.to} does not know the kind of {subject}",
            why=f"{why}. Its custom resource definition is not installed there.",
            fix="Install the operator that has it (KEDA, the Prometheus operator, ...), or turn the setting off.",
        )
    return Refused(f"{request.to} has no {subject}", why=why)


def _conflict(request: Request, subject: str, status: Mapping[str, Any], why: str) -> TakeoverError:
    if status.get("reason") == "AlreadyExists":
        return Refused(f"{subject} exists already in {request.to}", why=why)
    causes = (status.get("details") or {}).get("causes") or []
    if any(cause.get("reason") == "FieldManagerConflict" for cause in causes):
        return Refused(
            f"somebody else manages fields of {subject}", why=why, fix="Give them up there, or name the endpoint anew."
        )
    return NotReady(f"{subject} was changed by somebody else meanwhile", why=why, fix="Do it again.")


def _invalid(request: Request, subject: str, status: Mapping[str, Any], why: str) -> TakeoverError:
    causes = (status.get("details") or {}).get("causes") or []
    fields = "; ".join(f"{cause.get('field')}: {cause.get('message')}" for cause in causes)[:_LONGEST]
    return Refused(f"{request.to} finds {subject} invalid", why=f"HTTP 422: {fields}" if fields else why)


def _webhook_fix(why: str) -> str:
    if "PodSecurity" in why:
        return "The namespace's Pod Security level is stricter than these pods: use a namespace of its own."
    return "Whoever runs the cluster set this rule; its message says what it wants."
