"""A few calls to an API server for the tests, apart from the provider that they try."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

__all__ = ["Answered", "Kube", "path_of"]

Object = dict[str, Any]
CLUSTER_WIDE = {
    "Namespace", "Node", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "APIService",
    "PriorityClass", "StorageClass", "PersistentVolume",
}  # fmt: skip
PLURALS = {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses", "StorageClass": "storageclasses",
           "PriorityClass": "priorityclasses"}  # fmt: skip


class Answered(Exception):
    """An answer that is no success; `status` and the server's own sentence."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"HTTP {status}: {said}")
        self.status = status
        self.said = said


def path_of(manifest: Mapping[str, Any], *, namespace: str = "default", named: bool = True) -> str:
    """The path of an object, or of its kind's list."""
    version, kind = manifest["apiVersion"], manifest["kind"]
    root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    plural = PLURALS.get(kind, f"{kind.lower()}s")
    place = "" if kind in CLUSTER_WIDE else f"/namespaces/{manifest['metadata'].get('namespace', namespace)}"
    return f"{root}{place}/{plural}" + (f"/{manifest['metadata']['name']}" if named else "")


@dataclass(frozen=True)
class Kube:
    url: str
    token: str
    authority: Path

    def call(
        self, method: str, path: str, body: Any = None, *, content: str = "application/json", **query: str
    ) -> Object:
        """One request; the object that came back, or Answered."""
        context = ssl.create_default_context(cafile=str(self.authority))
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content}
        with httpx.Client(verify=context, trust_env=False, timeout=30) as client:
            answer = client.request(method, f"{self.url}{path}", params=query, json=body, headers=headers)
        if answer.status_code >= 300:
            try:
                said = str(answer.json().get("message"))
            except ValueError:
                said = answer.text
            raise Answered(answer.status_code, said)
        return dict(answer.json()) if answer.headers.get("content-type", "").startswith("application/json") else {}

    def apply(self, manifest: Mapping[str, Any], *, manager: str = "test", dry_run: bool = False) -> Object:
        """Server-side apply that refuses fields which the schema does not have."""
        dry = {"dryRun": "All"} if dry_run else {}
        return self.call(
            "PATCH",
            path_of(manifest),
            manifest,
            content="application/apply-patch+yaml",
            fieldManager=manager,
            fieldValidation="Strict",
            force="true",
            **dry,
        )

    def get(self, path: str) -> Object | None:
        try:
            return self.call("GET", path)
        except Answered as answered:
            if answered.status == 404:
                return None
            raise

    def items(self, path: str, **query: str) -> list[Object]:
        return list(self.call("GET", path, **query)["items"])

    def patch(self, path: str, change: Mapping[str, Any]) -> Object:
        return self.call("PATCH", path, change, content="application/merge-patch+json")

    def delete(self, path: str) -> None:
        try:
            self.call("DELETE", path, {"propagationPolicy": "Background"})
        except Answered as answered:
            if answered.status != 404:
                raise
