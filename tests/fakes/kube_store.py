"""Objects of the fake API server: paths, schemas, server-side apply, labels, the refusals of RBAC."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import kubernetes_validate

if TYPE_CHECKING:
    from fakes.kube_api import FakeKube

__all__ = ["Answer", "Key", "Object", "Store", "matches", "status"]

Object = dict[str, Any]
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[a-z0-9.-]+))/(?P<version>v[0-9a-z]+)(?:/namespaces/(?P<namespace>[a-z0-9-]+)(?=/))?"
    r"/(?P<plural>[a-z]+)(?:/(?P<name>[a-z0-9.-]+))?(?:/(?P<after>scale))?"
)
# Kinds by plural; those with a group of their own are custom and go unchecked but for their apiVersion.
KINDS = {
    "namespaces": "Namespace", "serviceaccounts": "ServiceAccount", "secrets": "Secret", "configmaps": "ConfigMap",
    "services": "Service", "persistentvolumeclaims": "PersistentVolumeClaim", "pods": "Pod", "nodes": "Node",
    "events": "Event", "deployments": "Deployment", "roles": "Role", "rolebindings": "RoleBinding",
    "networkpolicies": "NetworkPolicy", "ingresses": "Ingress", "poddisruptionbudgets": "PodDisruptionBudget",
    "horizontalpodautoscalers": "HorizontalPodAutoscaler", "scaledobjects": "ScaledObject",
    "triggerauthentications": "TriggerAuthentication", "podmonitors": "PodMonitor",
    "prometheusrules": "PrometheusRule",
}  # fmt: skip
# Definitions that this cluster has; the others of takeover's kinds are unknown to it, as in most clusters.
CUSTOM = {"keda.sh/v1alpha1", "monitoring.coreos.com/v1"}
GROUPS = ("apps", "autoscaling", "policy", "networking.k8s.io", "rbac.authorization.k8s.io", "keda.sh",
          "monitoring.coreos.com")  # fmt: skip
_UNKNOWN = re.compile(r"/apis/[a-z0-9.-]+\.[a-z0-9.-]+/v[0-9a-z]+/")
_SCHEMAS = "1.36"


@dataclass(frozen=True)
class Answer:
    """`body` is an object, or the text of a log, a page."""

    status: int
    body: Object | str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Key:
    version: str
    plural: str
    namespace: str
    name: str

    @property
    def resource(self) -> str:
        """As RBAC's refusals call it."""
        return self.plural


def status(code: int, reason: str, message: str, **details: Any) -> Answer:
    """A failure as the API server words it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    wait = {"Retry-After": "1"} if code == 429 else {}
    return Answer(code, {**body, "message": message, "details": details}, wait)


def matches(labels: Mapping[str, str], selector: str) -> bool:
    """Whether labels fit `a=b,c=d`."""
    wanted = dict(part.split("=", 1) for part in selector.split(",") if part)
    return all(labels.get(name) == value for name, value in wanted.items())


class Store:
    """All objects by key; `version` counts changes."""

    def __init__(self, fake: FakeKube) -> None:
        self.fake = fake
        self.objects: dict[Key, Object] = {}
        self._found_good: dict[Key, Object] = {}
        self._numbers = itertools.count(1)
        for name in fake.namespaces:
            self.objects[Key("v1", "namespaces", "", name)] = {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "uid": f"uid-of-{name}", "labels": {}},
                "status": {"phase": "Active"},
            }

    def of(self, plural: str, namespace: str | None = None, selector: str = "") -> Iterator[tuple[Key, Object]]:
        for key, each in list(self.objects.items()):
            labels = each["metadata"].get("labels") or {}
            if key.plural == plural and namespace in (None, "", key.namespace) and matches(labels, selector):
                yield key, each

    def answer(self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: Any) -> Answer:
        if path == "/apis" and method == "GET":
            return Answer(200, {"kind": "APIGroupList", "groups": [{"name": name} for name in GROUPS]})
        if path == "/version" and method == "GET":
            return Answer(200, {"major": "1", "minor": "36", "gitVersion": "v1.36.3"})
        found = _PATH.fullmatch(path)
        version = "/".join(part for part in (found["group"], found["version"]) if part) if found else ""
        if found is None or found["plural"] not in KINDS or ("." in version.split("/")[0] and not _is_known(version)):
            if not _UNKNOWN.match(path):
                self.fake.violations.append(f"{method} {path} is not described")
            return Answer(404, "404 page not found\n")
        key = Key(version, found["plural"], found["namespace"] or "", found["name"] or "")
        verb = {"POST": "create", "PATCH": "patch", "DELETE": "delete", "PUT": "update"}.get(method)
        verb = verb or ("get" if key.name else "list")
        resource = f"{key.plural}/{found['after']}" if found["after"] else key.plural
        if (verb, key.plural) in self.fake.denied:
            return _forbidden(verb, resource, key)
        if found["after"]:
            return self._scale(method, key, headers, body)
        if verb == "list":
            return self._list(key, query)
        return self._one(verb, key, query, headers, body)

    def _one(self, verb: str, key: Key, query: Mapping[str, str], headers: Mapping[str, str], body: Any) -> Answer:
        if verb in ("create", "patch") and not self._has_namespace(key):
            return _not_found("namespaces", key.namespace)
        if verb == "create":
            return self._create(key, query, body)
        if verb == "patch":
            return self._patch(key, query, headers, body)
        if key not in self.objects:
            return _not_found(key.plural, key.name)
        if verb == "get":
            return Answer(200, self.objects[key])
        return self._delete(key)

    def _has_namespace(self, key: Key) -> bool:
        return not key.namespace or Key("v1", "namespaces", "", key.namespace) in self.objects

    def _list(self, key: Key, query: Mapping[str, str]) -> Answer:
        items = [each for _, each in self.of(key.plural, key.namespace, query.get("labelSelector", ""))]
        return Answer(200, {"kind": f"{KINDS[key.plural]}List", "apiVersion": key.version, "items": items})

    def _create(self, key: Key, query: Mapping[str, str], body: Any) -> Answer:
        named = Key(key.version, key.plural, key.namespace, body["metadata"]["name"])
        wrong = self._wrong(named, body)
        if wrong:
            return wrong
        if named in self.objects:
            said = f'{named.plural} "{named.name}" already exists'
            return status(409, "AlreadyExists", said, name=named.name, kind=named.plural)
        return Answer(201, self._put(named, body))

    def _patch(self, key: Key, query: Mapping[str, str], headers: Mapping[str, str], body: Any) -> Answer:
        if not query.get("fieldManager"):
            self.fake.violations.append(f"a patch of {key.plural}/{key.name} without a field manager")
        if headers.get("content-type") == "application/merge-patch+json":
            if key not in self.objects:
                return _not_found(key.plural, key.name)
            return Answer(200, self._put(key, _merged(self.objects[key], body)))
        if headers.get("content-type") != "application/apply-patch+yaml" or query.get("fieldValidation") != "Strict":
            self.fake.violations.append(f"{key.plural}/{key.name} was applied without strict validation")
        wrong = self._wrong(key, body)
        if wrong:
            return wrong
        before = self.objects.get(key)
        if query.get("dryRun") == "All":
            return Answer(200, body)
        return Answer(200 if before else 201, self._put(key, _applied(before, body) if before else body))

    def _wrong(self, key: Key, body: Any) -> Answer | None:
        """What a strict server finds wrong with an object."""
        if body.get("apiVersion") != key.version or body.get("kind") != KINDS[key.plural]:
            return status(400, "BadRequest", "the object provided is of another kind than the path")
        if body["metadata"].get("namespace", key.namespace) != key.namespace:
            return status(400, "BadRequest", "the namespace of the object does not match the namespace on the request")
        if _is_custom(key.version):
            return None
        if body == self._found_good.get(key):
            return None
        try:
            kubernetes_validate.validate(body, _SCHEMAS, strict=True)
        except kubernetes_validate.ValidationError as error:
            field_path = ".".join(str(part) for part in error.absolute_path)
            self.fake.violations.append(f"{key.plural}/{key.name}: {field_path}: {error.message}")
            if error.validator == "additionalProperties":
                named = f"/{key.name}; {key.version}, Kind={body['kind']}"
                return status(500, "", f"failed to create typed patch object ({named}): {error.message}")
            cause = {"field": field_path, "message": error.message, "reason": "FieldValueInvalid"}
            return status(422, "Invalid", f'{body["kind"]} "{key.name}" is invalid', causes=[cause])
        self._found_good[key] = body
        return None

    def _put(self, key: Key, body: Object) -> Object:
        stored = copy.deepcopy(body)
        before = self.objects.get(key)
        metadata = stored["metadata"]
        number = next(self._numbers)
        metadata |= {"resourceVersion": str(number), "uid": f"uid-{number}"}
        if before is not None:
            metadata |= {"uid": before["metadata"]["uid"]}
        generation = before["metadata"]["generation"] if before else 0
        changed = before is None or before.get("spec") != stored.get("spec")
        metadata["generation"] = generation + int(changed)
        if key.namespace:
            metadata["namespace"] = key.namespace
        if key.plural == "secrets" and "stringData" in stored:
            import base64

            values = {name: base64.b64encode(text.encode()).decode() for name, text in stored.pop("stringData").items()}
            stored["data"] = {**stored.get("data", {}), **values}
        if before and "status" in before:
            stored["status"] = before["status"]
        self.objects[key] = stored
        return stored

    def _delete(self, key: Key) -> Answer:
        gone = self.objects.pop(key)
        if key.plural == "namespaces":
            self.objects = {each: value for each, value in self.objects.items() if each.namespace != key.name}
        return Answer(200, gone)

    def _scale(self, method: str, key: Key, headers: Mapping[str, str], body: Any) -> Answer:
        if key not in self.objects:
            return _not_found(key.plural, key.name)
        found = self.objects[key]
        if method == "PATCH":
            changed = _merged(found, {"spec": {"replicas": body["spec"]["replicas"]}})
            found = self._put(key, changed)
        replicas = found["spec"].get("replicas", 1)
        metadata = {"name": key.name, "namespace": key.namespace}
        spec = {"replicas": replicas}
        return Answer(200, {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec})


def _is_custom(version: str) -> bool:
    return "." in version.split("/")[0] and not version.split("/")[0].endswith(".k8s.io")


def _is_known(version: str) -> bool:
    return version in CUSTOM or not _is_custom(version)


def _forbidden(verb: str, resource: str, key: Key) -> Answer:
    group = key.version.partition("/")[0] if "/" in key.version else ""
    where = f'in the namespace "{key.namespace}"' if key.namespace else "at the cluster scope"
    full = f"{key.plural}.{group}" if group else key.plural
    name = f' "{key.name}"' if key.name else ""
    said = (
        f'{full}{name} is forbidden: User "limited" cannot {verb} resource "{resource}" in API group "{group}" {where}'
    )
    return status(403, "Forbidden", said, name=key.name, kind=key.plural)


def _not_found(plural: str, name: str) -> Answer:
    return status(404, "NotFound", f'{plural} "{name}" not found', name=name, kind=plural)


def _merged(before: Any, change: Any) -> Any:
    """RFC 7386."""
    if not isinstance(change, dict):
        return change
    merged = dict(before) if isinstance(before, dict) else {}
    for name, value in change.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged


def _applied(before: Object, body: Object) -> Object:
    """One manager's apply: what it says replaces what it said before; replicas that others set stay."""
    after = copy.deepcopy(body)
    replicas = (before.get("spec") or {}).get("replicas")
    if replicas is not None and "replicas" not in (body.get("spec") or {}) and body["kind"] == "Deployment":
        after["spec"]["replicas"] = replicas
    return after
