"""How far a roll-out is, and what stops it, read out of a Deployment and its pods. Pure.

The rules are those of `kubectl rollout status` (k8s.io/kubectl, pkg/polymorphichelpers/rollout_status.go); the reasons
of waiting containers are the kubelet's (pkg/kubelet/images/types.go, container/sync_result.go), read 2026-11-25.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Rollout", "Trouble", "rollout_of", "troubles_of", "worst"]

Object = Mapping[str, Any]

# Reasons that no waiting mends, or that came back often enough to say so.
_HOPELESS = frozenset({"CreateContainerConfigError", "InvalidImageName", "ErrImageNeverPull", "CreateContainerError"})
_PULLING = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"})
# What registries answer to a pull that will never go well (containerd passes it on).
_NO_SUCH_IMAGE = ("not found", "denied", "unauthorized", "manifest unknown")
_RESTARTS_ENOUGH = 3


@dataclass(frozen=True)
class Rollout:
    """`sentence` says how far it is; `failed` why it will not come to its end, "" while it may.

    `settles`: every pod is ready, the last one not yet for its `minReadySeconds`.
    """

    is_done: bool
    sentence: str
    failed: str = ""
    settles: bool = False


@dataclass(frozen=True)
class Trouble:
    """What keeps a pod from being ready. `container` is the one whose log says more, "" where no log can be."""

    pod: str
    sentence: str
    container: str = ""
    is_hopeless: bool = False
    has_run_before: bool = False


def rollout_of(deployment: Object) -> Rollout:
    """Where the roll-out of a Deployment or a LeaderWorkerSet stands."""
    if "leaderWorkerTemplate" in deployment["spec"]:
        return _groups_of(deployment)
    name, spec, status = deployment["metadata"]["name"], deployment["spec"], deployment.get("status") or {}
    wanted = spec.get("replicas", 1)
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 1):
        return Rollout(False, f"{name}: the change is not seen yet")
    for condition in status.get("conditions") or []:
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return Rollout(False, f"{name}: no progress", condition.get("message") or "it made no progress in time")
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return Rollout(False, f"{name}: no pod", condition.get("message") or "its pods cannot be made")
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated < wanted:
        return Rollout(False, f"{name}: {updated} of {wanted} pods are of the new version")
    if status.get("replicas", 0) > updated:
        return Rollout(False, f"{name}: {status['replicas'] - updated} pods of the old version are ending")
    if available < updated <= status.get("readyReplicas", 0):
        return Rollout(False, f"{name}: {updated} of {updated} pods are ready, the last since a moment", settles=True)
    if available < updated:
        return Rollout(False, f"{name}: {available} of {updated} pods are ready")
    return Rollout(True, f"{name}: {available} of {wanted} pods are ready")


def _groups_of(workload: Object) -> Rollout:
    """Replicas of a LeaderWorkerSet are groups (leaderworkerset.x-k8s.io/v1, status of 2026-08)."""
    name, status, wanted = (
        workload["metadata"]["name"],
        workload.get("status") or {},
        workload["spec"].get("replicas", 1),
    )
    updated, ready = status.get("updatedReplicas", 0), status.get("readyReplicas", 0)
    if status.get("observedGeneration", workload["metadata"].get("generation", 1)) < workload["metadata"]["generation"]:
        return Rollout(False, f"{name}: the change is not seen yet")
    if updated < wanted or ready < wanted:
        return Rollout(False, f"{name}: {updated} of {wanted} groups are of the new version, {ready} are ready")
    return Rollout(True, f"{name}: {ready} of {wanted} groups are ready")


def troubles_of(pods: Sequence[Object]) -> tuple[Trouble, ...]:
    """What keeps those pods from being ready, the worst first."""
    found = [trouble for pod in pods for trouble in _troubles(pod)]
    return tuple(sorted(found, key=lambda trouble: not trouble.is_hopeless))


def worst(troubles: Sequence[Trouble]) -> Trouble | None:
    return troubles[0] if troubles else None


def _troubles(pod: Object) -> Iterator[Trouble]:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    if "deletionTimestamp" in pod["metadata"]:
        return
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield Trouble(name, f"no node takes it: {condition.get('message') or condition.get('reason')}")
    for kind, list_name in (("init container", "initContainerStatuses"), ("container", "containerStatuses")):
        for each in status.get(list_name) or []:
            yield from _container_troubles(name, kind, each)


def _container_troubles(pod: str, kind: str, status: Object) -> Iterator[Trouble]:
    """A container that waits for a bad reason, or that ended badly."""
    name, state, last = status["name"], status.get("state") or {}, status.get("lastState") or {}
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or last.get("terminated") or {}
    restarts = status.get("restartCount", 0)
    if ended.get("exitCode") or waiting.get("reason") == "CrashLoopBackOff":
        said = ended.get("message") or ended.get("reason") or waiting.get("message") or ""
        sentence = f"its {kind} {name} ended with {ended.get('exitCode', 'an error')} ({restarts} restarts)"
        memory = " for want of memory" if ended.get("reason") == "OOMKilled" else ""
        yield Trouble(
            pod,
            f"{sentence}{memory}" + (f": {said.strip()}" if said and not memory else ""),
            name,
            is_hopeless=restarts >= _RESTARTS_ENOUGH,
            has_run_before="terminated" in last and "running" not in state and "terminated" not in state,
        )
    elif waiting.get("reason") in _PULLING | _HOPELESS:
        said = waiting.get("message") or ""
        is_hopeless = waiting["reason"] in _HOPELESS or any(word in said for word in _NO_SUCH_IMAGE)
        yield Trouble(pod, f"its {kind} {name} cannot start ({waiting['reason']}): {said}", is_hopeless=is_hopeless)
