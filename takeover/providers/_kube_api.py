"""Requests to an API server: server-side apply, read, list, delete. One `Kube` for one operation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from takeover.errors import Refused, VendorError
from takeover.kubernetes.names import FIELD_MANAGER
from takeover.providers._http import Patience, Request, Response, send_patiently
from takeover.providers._kube_access import Access, open_access
from takeover.providers._kube_errors import Denied, kube_error

__all__ = ["KINDS", "Kube", "Object", "opened", "path_of"]

Object = dict[str, Any]
_APPLY = {"Content-Type": "application/apply-patch+yaml"}
_MERGE = {"Content-Type": "application/merge-patch+json"}

# What a deploy may write, by kind: API version, plural. Each lies in a namespace but the one marked below. Later kinds
# are removed before earlier ones: what scales or routes goes before what it scales or routes to.
KINDS: Mapping[str, tuple[str, str]] = {
    "Namespace": ("v1", "namespaces"),
    "ServiceAccount": ("v1", "serviceaccounts"),
    "Secret": ("v1", "secrets"),
    "ExternalSecret": ("external-secrets.io/v1", "externalsecrets"),
    "ConfigMap": ("v1", "configmaps"),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims"),
    "Role": ("rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("rbac.authorization.k8s.io/v1", "rolebindings"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "Service": ("v1", "services"),
    "Deployment": ("apps/v1", "deployments"),
    "LeaderWorkerSet": ("leaderworkerset.x-k8s.io/v1", "leaderworkersets"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
    "InferencePool": ("inference.networking.k8s.io/v1", "inferencepools"),
    "Ingress": ("networking.k8s.io/v1", "ingresses"),
    "Gateway": ("gateway.networking.k8s.io/v1", "gateways"),
    "HTTPRoute": ("gateway.networking.k8s.io/v1", "httproutes"),
    "PodMonitor": ("monitoring.coreos.com/v1", "podmonitors"),
    "ServiceMonitor": ("monitoring.coreos.com/v1", "servicemonitors"),
    "PrometheusRule": ("monitoring.coreos.com/v1", "prometheusrules"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers"),
    "TriggerAuthentication": ("keda.sh/v1alpha1", "triggerauthentications"),
    "ScaledObject": ("keda.sh/v1alpha1", "scaledobjects"),
}

_READ_ONLY: Mapping[str, tuple[str, str]] = {"Pod": ("v1", "pods"), "Node": ("v1", "nodes")}


def path_of(kind: str, namespace: str, name: str = "", *, after: str = "") -> str:
    """The path of a list (without `name`) or of an object; `after` is a subresource (`scale`, `log`). Pure."""
    try:
        version, plural = KINDS[kind]
    except KeyError:
        raise Refused(f"takeover does not write objects of the kind {kind}") from None
    return _path(version, plural, "" if kind == "Namespace" else namespace, name, after)


def _path(version: str, plural: str, namespace: str, name: str, after: str) -> str:
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    place = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return "/".join(part for part in (f"{root}{place}/{plural}", quote(name, safe=""), after) if part)


class _Kept(httpx.AsyncBaseTransport):
    """Connections that outlive one request: `send` closes what it is given."""

    def __init__(self, access: Access) -> None:
        self._inner = httpx.AsyncHTTPTransport(verify=access.tls or False, proxy=access.proxy)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        return None

    async def close(self) -> None:
        await self._inner.aclose()


class Kube:
    """One cluster. `renew` reads the credential anew, once, when the server says that it is not good any more."""

    def __init__(
        self,
        access: Access,
        *,
        renew: Callable[[], Access] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.access = access
        self._renew = renew if access.is_renewable else None
        self._sleep = sleep
        self._transport = _Kept(access)
        self._patience = Patience(sleep=sleep)

    async def __aenter__(self) -> Kube:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.close()

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> tuple[Response, Request]:
        """The answer, whatever its status. All these requests may be carried out twice."""
        url = f"{self.access.server}{path}" + (f"?{urlencode(query)}" if query else "")
        for may_renew in (self._renew is not None, False):
            request = Request(
                method, url, self.access.called, self.access.token, body, timeout_s, headers=headers or {}
            )
            response = await send_patiently(request, self._patience, transport=self._transport)
            if response.status != 401 or not may_renew or self._renew is None:
                break
            await self._take_new_credential(self._renew)
        return response, request

    async def _take_new_credential(self, renew: Callable[[], Access]) -> None:
        """A token of EKS lasts 15 minutes, a roll-out may take longer."""
        self.access = await asyncio.to_thread(renew)
        await self._transport.close()
        self._transport = _Kept(self.access)

    async def call(self, method: str, path: str, subject: str, **sent: Any) -> Object:
        """The object that came back; raises what the answer means."""
        response, request = await self.send(method, path, **sent)
        error = kube_error(response, request, subject)
        if error is not None:
            raise error
        try:
            value = json.loads(response.text)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise VendorError(f"{request.to} answered with something else than an object", why=response.text[:200])
        return value

    async def apply(self, manifest: Mapping[str, Any], namespace: str, *, dry_run: bool = False) -> Object:
        """Server-side apply, refusing fields that the schema lacks. It takes over those fields, and no others."""
        kind, name = str(manifest["kind"]), str(manifest["metadata"]["name"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
        query |= {"dryRun": "All"} if dry_run else {}
        version, plural = str(manifest["apiVersion"]), KINDS[kind][1] if kind in KINDS else ""
        path_of(kind, namespace)
        path = _path(version, plural, "" if kind == "Namespace" else namespace, name, "")
        return await self.call("PATCH", path, f"{kind} {name}", query=query, body=manifest, headers=_APPLY)

    async def merge(self, path: str, subject: str, change: Mapping[str, Any]) -> Object:
        """A merge patch under our name."""
        query = {"fieldManager": FIELD_MANAGER}
        return await self.call("PATCH", path, subject, query=query, body=change, headers=_MERGE)

    async def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object, None when it is not there (or its kind, or its namespace)."""
        version, plural = _READ_ONLY.get(kind) or KINDS[kind]
        path = _path(version, plural, "" if kind == "Namespace" else namespace, name, "")
        response, request = await self.send("GET", path)
        return None if response.status == 404 else _good(response, request, f"{kind} {name}")

    async def items(self, kind: str, namespace: str, selector: str) -> list[Object]:
        """Objects of a kind by labels; none where the kind is not installed. `namespace` "" = the whole cluster."""
        version, plural = _READ_ONLY.get(kind) or KINDS[kind]
        path = _path(version, plural, "" if kind == "Namespace" else namespace, "", "")
        response, request = await self.send("GET", path, query={"labelSelector": selector})
        if response.status == 404:
            return []
        return list(_good(response, request, f"the list of {plural}").get("items") or [])

    async def get_if_allowed(self, kind: str, namespace: str, name: str) -> Object | None:
        """As `get`, None too where RBAC says no."""
        try:
            return await self.get(kind, namespace, name)
        except Denied:
            return None

    async def items_if_allowed(self, kind: str, namespace: str, selector: str) -> list[Object]:
        """As `items`, none where RBAC says no."""
        try:
            return await self.items(kind, namespace, selector)
        except Denied:
            return []

    async def pods_if_allowed(self, namespace: str, selector: str) -> list[Object]:
        return await self.items_if_allowed("Pod", namespace, selector)

    async def nodes_if_allowed(self, pods: Sequence[Object]) -> list[Object]:
        """The nodes that those pods run on; none without the right, which is one of the whole cluster."""
        names = {str(pod["spec"]["nodeName"]) for pod in pods if pod["spec"].get("nodeName")}
        found = [await self.get_if_allowed("Node", "", name) for name in sorted(names)]
        return [node for node in found if node is not None]

    async def page(self, pod: Object, port: int, path: str) -> str:
        """What a pod answers at `path`, through the API server (the right `get` on `pods/proxy`)."""
        metadata = pod["metadata"]
        name = f"{quote(metadata['name'], safe='')}:{port}"
        target = f"/api/v1/namespaces/{metadata['namespace']}/pods/{name}/proxy/{path}"
        response, request = await self.send("GET", target)
        error = kube_error(response, request, f"pod {metadata['name']}")
        if error is not None:
            raise error
        return response.text

    async def kinds(self) -> tuple[str, ...]:
        """Those of KINDS whose API group the cluster serves; all of them where it does not say."""
        response, _ = await self.send("GET", "/apis")
        if response.status != 200:
            return tuple(KINDS)
        groups = {"", *(str(group["name"]) for group in json.loads(response.text).get("groups") or [])}
        return tuple(kind for kind, (version, _) in KINDS.items() if version.rpartition("/")[0] in groups)

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        """Ask for its end, dependents first; gone already is well."""
        path = path_of(kind, namespace, name)
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground"}
        response, request = await self.send("DELETE", path, body=body)
        if response.status != 404:
            _good(response, request, f"{kind} {name}")


def _good(response: Response, request: Request, subject: str) -> Object:
    error = kube_error(response, request, subject)
    if error is not None:
        raise error
    value = json.loads(response.text or "{}")
    return value if isinstance(value, dict) else {}


@asynccontextmanager
async def opened(
    kubeconfig: str | None, context: str | None, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> AsyncIterator[Kube]:
    """The cluster of a context, for the length of one operation."""

    def access() -> Access:
        return open_access(kubeconfig, context)

    async with Kube(await asyncio.to_thread(access), renew=access, sleep=sleep) as kube:
        yield kube
