"""What an API server's refusals become. Bodies are those of Kubernetes 1.36.3, as tests/cluster saw them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from takeover.errors import AuthError, NotReady, QuotaError, RateLimited, Refused, TakeoverError, VendorError
from takeover.providers._http import Request, Response
from takeover.providers._kube_errors import Denied, kube_error

REQUEST = Request("PATCH", "https://10.0.0.1:6443/apis/apps/v1/namespaces/llm/deployments/chat", "the cluster")


def status(code: int, reason: str, message: str, **details: Any) -> str:
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return json.dumps({**body, "details": details})


@dataclass(frozen=True)
class Case:
    id: str
    status: int
    body: str
    error: type[TakeoverError]
    said: tuple[str, ...]
    headers: dict[str, str] = field(default_factory=dict)


FORBIDDEN = (
    'deployments.apps "chat" is forbidden: User "ci" cannot patch resource "deployments" in API group "apps" '
    'in the namespace "llm"'
)
PROXY = (
    'pods "chat-0:8081" is forbidden: User "ci" cannot get resource "pods/proxy" in API group "" in the namespace "llm"'
)
NODES = 'nodes is forbidden: User "ci" cannot list resource "nodes" in API group "" at the cluster scope'
QUOTA = 'pods "chat" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1, used: 2, limited: 2'
SECURITY = 'pods "chat" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false'
WEBHOOK = 'admission webhook "validate.kyverno.svc-fail" denied the request: images must come from our registry'
FIELD = (
    "failed to create typed patch object (llm/chat; apps/v1): .spec.template.spec.oops: field not declared in schema"
)
CASES = [
    Case("401 is a credential", 401, status(401, "Unauthorized", "Unauthorized"), AuthError, ("kubeconfig's",)),
    Case(
        "403 by RBAC names verb, resource, namespace and user",
        403,
        status(403, "Forbidden", FORBIDDEN),
        AuthError,
        ("lacks the verb patch on deployments.apps in the namespace llm for ci",),
    ),
    Case(
        "403 on a subresource names it",
        403,
        status(403, "Forbidden", PROXY),
        AuthError,
        ("lacks the verb get on pods/proxy in the namespace llm for ci",),
    ),
    Case(
        "403 in the whole cluster says so",
        403,
        status(403, "Forbidden", NODES),
        AuthError,
        ("lacks the verb list on nodes in the whole cluster for ci",),
    ),
    Case("403 by a quota is no right", 403, status(403, "Forbidden", QUOTA), QuotaError, ("leaves no room", "gpus")),
    Case("403 by pod security", 403, status(403, "Forbidden", SECURITY), Refused, ("Pod Security level",)),
    Case("403 by a policy's webhook", 403, status(403, "Forbidden", WEBHOOK), Refused, ("images must come from",)),
    Case("400 by a webhook", 400, status(400, "BadRequest", WEBHOOK), Refused, ("images must come from",)),
    Case(
        "404 of a namespace",
        404,
        status(404, "NotFound", 'namespaces "llm" not found', name="llm", kind="namespaces"),
        Refused,
        ("has no namespace llm", "kubectl create namespace llm"),
    ),
    Case("404 of a kind", 404, "404 page not found\n", Refused, ("does not know the kind of Deployment chat",)),
    Case(
        "404 of an object",
        404,
        status(404, "NotFound", 'deployments.apps "chat" not found', name="chat", kind="deployments"),
        Refused,
        ("has no Deployment chat",),
    ),
    Case("409 of a name", 409, status(409, "AlreadyExists", "exists"), Refused, ("exists already",)),
    Case(
        "409 of another manager",
        409,
        status(409, "Conflict", "conflict with argocd", causes=[{"reason": "FieldManagerConflict"}]),
        Refused,
        ("somebody else manages fields", "argocd"),
    ),
    Case("409 of a change", 409, status(409, "Conflict", "modified"), NotReady, ("Do it again",)),
    Case(
        "422 names the fields",
        422,
        status(422, "Invalid", "x is invalid", causes=[{"field": "spec.replicas", "message": "must be at least 0"}]),
        Refused,
        ("spec.replicas: must be at least 0",),
    ),
    Case("500 of a field that is not there", 500, status(500, "", FIELD), Refused, ("no such field", "spec.oops")),
    Case(
        "429 keeps the wait",
        429,
        status(429, "TooManyRequests", "too many requests"),
        RateLimited,
        ("Ask again in 7 s",),
        {"Retry-After": "7"},
    ),
    Case(
        "503 may be asked again", 503, status(503, "ServiceUnavailable", "apiserver down"), NotReady, ("cannot answer",)
    ),
    Case(
        "500 is the cluster's failure",
        500,
        status(500, "InternalError", "etcd"),
        VendorError,
        ("Deployment chat", "etcd"),
    ),
    Case("a proxy's page is shown in short", 502, "<html>bad gateway</html>", VendorError, ("bad gateway",)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_answer_becomes_the_error_that_it_means(case: Case) -> None:
    error = kube_error(Response(case.status, case.body, case.headers), REQUEST, "Deployment chat")
    assert isinstance(error, case.error)
    assert isinstance(error, Denied) == (case.status == 403 and case.error is AuthError)
    assert [words for words in case.said if words not in str(error)] == []


def test_a_good_answer_is_no_error() -> None:
    assert kube_error(Response(201, "{}"), REQUEST, "Deployment chat") is None
