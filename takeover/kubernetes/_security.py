"""What a pod may not: be root, write outside of its volumes, talk to the API server."""

from __future__ import annotations

from typing import Any

__all__ = ["USER", "container_security", "pod_security", "scratch"]

USER = 1000


def pod_security() -> dict[str, Any]:
    """For the whole pod; `fsGroup` lets the user write to volumes."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security(user: int | None = None) -> dict[str, Any]:
    """For each container; `user` where its image wants another one."""
    other = {"runAsUser": user, "runAsGroup": user} if user is not None else {}
    return {
        **other,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def scratch(name: str, size: str, *, is_memory: bool = False) -> dict[str, Any]:
    """An empty volume with a limit; in memory it counts against the container's."""
    return {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": size} if is_memory else {"sizeLimit": size}}
