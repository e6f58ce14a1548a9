"""Where an endpoint lies: its cluster, held against the one that the stack names, its namespace, its key."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from takeover.errors import NotReady, Refused
from takeover.kubernetes import Serving, names, start_limit_s
from takeover.providers._kube_api import Kube, Object, path_of
from takeover.providers._kube_errors import Denied, kube_error
from takeover.providers._kube_wait import Wait
from takeover.providers._progress import progress
from takeover.settings._kubernetes import KubernetesOptions

__all__ = [
    "OURS",
    "engine_selector",
    "is_ours",
    "key_mark",
    "make_key",
    "namespaces_of",
    "ours",
    "own_namespace",
    "read_key",
    "require_cluster",
    "rollout_limit_s",
]

KEY_VARIABLE = "TAKEOVER_API_KEY"
OURS = "app.kubernetes.io/managed-by=takeover"


def ours(name: str) -> str:
    """The selector of everything that belongs to the endpoint."""
    return f"{OURS},app.kubernetes.io/instance={name}"


def engine_selector(name: str) -> str:
    """The selector of the pods that answer, which has no label that a rollout changes."""
    return ",".join(f"{key}={value}" for key, value in names.selector(name).items())


def is_ours(found: Object, name: str) -> bool:
    """Whether an object was made for the endpoint of that name."""
    labels = found["metadata"].get("labels") or {}
    is_managed = labels.get("app.kubernetes.io/managed-by") == "takeover"
    return is_managed and labels.get("app.kubernetes.io/instance") == name


def key_mark(key: str) -> str:
    """What changes with the key and does not tell it; "" without one."""
    return hashlib.sha256(f"takeover-key:{key}".encode()).hexdigest()[:12] if key else ""


def rollout_limit_s(serving: Serving) -> float:
    """One pod after the other, where no GPU is spare: each may take its whole step."""
    return float(start_limit_s(serving) * max(1, serving.max_replicas))


async def own_namespace(kube: Kube, manifest: Object, name: str, wait: Wait) -> None:
    """Make the namespace of the endpoint's own, in which everything else is then tried before it is written.

    Waits where one of that name is on its way out.

    Refused where one of that name was made by somebody else.
    """
    namespace, pause, until = str(manifest["metadata"]["name"]), 0.05, wait.clock() + wait.limit_s
    while (found := await kube.get_if_allowed("Namespace", "", namespace)) and _is_ending(found):
        if wait.clock() > until:
            raise NotReady(
                f"the namespace {namespace} does not come to its end", why="Something in it has a finalizer."
            )
        progress("prepare", f"waiting for the namespace {namespace} of before to be gone")
        await wait.sleep(pause)
        pause = min(pause * 1.5, 2.0)
    if found is not None and not is_ours(found, name):
        raise Refused(
            f"the namespace {namespace} exists and was not made for {name}",
            why="It would be deleted with the endpoint.",
            fix=f"Set takeover:kubernetes.namespace: {namespace} to put the endpoint into it.",
            where="takeover:kubernetes.namespace",
        )
    await kube.apply(manifest, namespace)


def _is_ending(namespace: Object) -> bool:
    return "deletionTimestamp" in namespace["metadata"]


async def require_cluster(kube: Kube, expected: str | None) -> None:
    """Refused where the kubeconfig leads elsewhere than `takeover:kubernetes.expectedCluster` says."""
    if expected is None or expected.rstrip("/") == kube.access.server.rstrip("/"):
        return
    system = await kube.get("Namespace", "", "kube-system") if not expected.startswith("http") else None
    found = str(system["metadata"].get("uid")) if system else kube.access.server
    if found != expected:
        raise Refused(
            f"the kubeconfig leads to another cluster: {found}",
            why=f"This stack belongs to {expected}. The context is {kube.access.context or 'the pod around this'}.",
            fix="Choose its context (takeover:kubernetes.context), or change expectedCluster if it has moved.",
            where="takeover:kubernetes.expectedCluster",
        )


async def namespaces_of(kube: Kube, name: str, known: str | None) -> list[str]:
    """Where something of the endpoint lies: where the stack says, else where its objects are found.

    Without the right to look in the whole cluster: a namespace of its own name, or the context's.
    """
    if known is not None:
        return [known]
    try:
        found = await kube.items("Deployment", "", ours(name)) + await kube.items("Namespace", "", ours(name))
    except Denied:
        return list(dict.fromkeys((name, kube.access.namespace)))
    places = [each["metadata"].get("namespace") or each["metadata"]["name"] for each in found]
    return list(dict.fromkeys([*places, name, kube.access.namespace]))


async def make_key(kube: Kube, options: KubernetesOptions, name: str, namespace: str, labels: Mapping[str, str]) -> str:
    """The endpoint's key: the Secret that is there, else a new one. "" where External Secrets brings it later.

    Two deploys at once end with one key: whoever comes second reads what the first has made.
    """
    if options.external_secret is not None:
        return ""
    given, secret = os.environ.get(KEY_VARIABLE, ""), options.api_key_secret or names.key_secret(name)
    found = await read_key(kube, secret, namespace)
    if options.api_key_secret is not None and found is None:
        raise Refused(
            f"the namespace {namespace} has no Secret {options.api_key_secret} with a value {names.API_KEY}",
            fix=f"kubectl create secret generic {options.api_key_secret} --from-literal={names.API_KEY}=KEY",
            where="takeover:kubernetes.apiKeySecret",
        )
    if found is not None and (options.api_key_secret is not None or given in ("", found.get_secret_value())):
        return found.get_secret_value()
    key = given or secrets.token_urlsafe(32)
    manifest = _secret(name, namespace, labels, key)
    if found is not None:
        progress("key", f"another API key for {name}, from {KEY_VARIABLE}")
        await kube.apply(manifest, namespace)
        return key
    response, request = await kube.send("POST", path_of("Secret", namespace), body=manifest)
    if response.status == 409:
        other = await read_key(kube, secret, namespace)
        return other.get_secret_value() if other else ""
    error = kube_error(response, request, f"Secret {names.key_secret(name)}")
    if error is not None:
        raise error
    return key


def _secret(name: str, namespace: str, labels: Mapping[str, str], key: str) -> Object:
    metadata = {"name": names.key_secret(name), "namespace": namespace, "labels": dict(labels)}
    data = {names.API_KEY: base64.b64encode(key.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}


async def read_key(kube: Kube, secret: str, namespace: str) -> SecretStr | None:
    """The key in that Secret; None where it is not there, or not for us to read."""
    found = await kube.get_if_allowed("Secret", namespace, secret)
    value = ((found or {}).get("data") or {}).get(names.API_KEY)
    return _decoded(value) if value else None


def _decoded(value: Any) -> SecretStr | None:
    try:
        return SecretStr(base64.b64decode(str(value), validate=True).decode().strip())
    except (binascii.Error, UnicodeDecodeError):
        return None
