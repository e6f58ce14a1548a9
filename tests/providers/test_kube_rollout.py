"""How far a roll-out is and what stops it, read out of objects as the API server has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from takeover.providers._kube_rollout import Rollout, Trouble, rollout_of, troubles_of
from takeover.providers._kube_seen import cold_start_ms, hardware_of, served_by, url_of


def deployment(spec: Mapping[str, Any] | None = None, generation: int = 2, **status: Any) -> dict[str, Any]:
    metadata = {"name": "chat", "generation": generation}
    return {
        "metadata": metadata,
        "spec": {"replicas": 2, **(spec or {})},
        "status": {"observedGeneration": 2, **status},
    }


@dataclass(frozen=True)
class Case:
    id: str
    deployment: Mapping[str, Any]
    rollout: Rollout


LATE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "has timed out"}
NO_POD = {"type": "ReplicaFailure", "status": "True", "message": "no PriorityClass with name llm was found"}
CASES = [
    Case(
        "a change that no controller has seen",
        deployment(generation=3),
        Rollout(False, "chat: the change is not seen yet"),
    ),
    Case("no new pod", deployment(), Rollout(False, "chat: 0 of 2 pods are of the new version")),
    Case(
        "old pods that end",
        deployment(updatedReplicas=2, replicas=3),
        Rollout(False, "chat: 1 pods of the old version are ending"),
    ),
    Case(
        "pods that load",
        deployment(updatedReplicas=2, replicas=2, availableReplicas=1),
        Rollout(False, "chat: 1 of 2 pods are ready"),
    ),
    Case(
        "pods that are ready since a moment",
        deployment(updatedReplicas=2, replicas=2, readyReplicas=2, availableReplicas=1),
        Rollout(False, "chat: 2 of 2 pods are ready, the last since a moment", settles=True),
    ),
    Case(
        "all",
        deployment(updatedReplicas=2, replicas=2, availableReplicas=2),
        Rollout(True, "chat: 2 of 2 pods are ready"),
    ),
    Case("none, as was asked for", deployment({"replicas": 0}), Rollout(True, "chat: 0 of 0 pods are ready")),
    Case("no progress", deployment(conditions=[LATE]), Rollout(False, "chat: no progress", "has timed out")),
    Case(
        "pods that cannot be made",
        deployment(conditions=[NO_POD]),
        Rollout(False, "chat: no pod", "no PriorityClass with name llm was found"),
    ),
    Case(
        "groups of nodes",
        deployment({"leaderWorkerTemplate": {}}, updatedReplicas=2, readyReplicas=1),
        Rollout(False, "chat: 2 of 2 groups are of the new version, 1 are ready"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_roll_out_s_state(case: Case) -> None:
    assert rollout_of(case.deployment) == case.rollout


def pod(name: str = "p", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {}, "status": status}


def container(name: str, restarts: int = 0, **states: Any) -> dict[str, Any]:
    return {"name": name, "restartCount": restarts, **states}


@dataclass(frozen=True)
class Stopped:
    id: str
    pod: Mapping[str, Any]
    troubles: tuple[Trouble, ...] = field(default_factory=tuple)


CRASH = {"waiting": {"reason": "CrashLoopBackOff"}}
FETCH = container("fetch", 3, state=CRASH, lastState={"terminated": {"exitCode": 1, "message": "digest differs"}})
OOM = container("engine", 1, state={"terminated": {"exitCode": 137, "reason": "OOMKilled"}})
PULL = container("engine", state={"waiting": {"reason": "ErrImagePull", "message": "docker.io/x: not found"}})
BUSY = container("engine", state={"waiting": {"reason": "ImagePullBackOff", "message": "toomanyrequests"}})
UNPLACED = {"type": "PodScheduled", "status": "False", "message": "2 Insufficient nvidia.com/gpu"}
STOPPED = [
    Stopped("nothing", pod(containerStatuses=[container("engine", state={"running": {}})])),
    Stopped("no node", pod(conditions=[UNPLACED]), (Trouble("p", "no node takes it: 2 Insufficient nvidia.com/gpu"),)),
    Stopped(
        "an init container that fails again and again",
        pod(initContainerStatuses=[FETCH]),
        (
            Trouble(
                "p", "its init container fetch ended with 1 (3 restarts): digest differs", "fetch",
                is_hopeless=True, has_run_before=True,
            ),
        ),
    ),
    Stopped(
        "memory",
        pod(containerStatuses=[OOM]),
        (Trouble("p", "its container engine ended with 137 (1 restarts) for want of memory", "engine"),),
    ),
    Stopped(
        "an image that is not there",
        pod(containerStatuses=[PULL]),
        (Trouble("p", "its container engine cannot start (ErrImagePull): docker.io/x: not found", is_hopeless=True),),
    ),
    Stopped(
        "a registry that is busy",
        pod(containerStatuses=[BUSY]),
        (Trouble("p", "its container engine cannot start (ImagePullBackOff): toomanyrequests"),),
    ),
    Stopped("a pod that ends", {**pod(conditions=[UNPLACED]), "metadata": {"name": "p", "deletionTimestamp": "now"}}),
]  # fmt: skip


@pytest.mark.parametrize("case", STOPPED, ids=lambda case: case.id)
def test_what_keeps_a_pod_from_being_ready(case: Stopped) -> None:
    assert troubles_of([case.pod]) == case.troubles


def test_the_worst_comes_first() -> None:
    found = troubles_of([pod("a", conditions=[UNPLACED]), pod("b", initContainerStatuses=[FETCH])])
    assert [each.pod for each in found] == ["b", "a"]


def serving(name: str, digests: str, *, is_ready: bool = True, **more: Any) -> dict[str, Any]:
    annotations = {
        "takeover.dev/digests": digests,
        "takeover.dev/adapters": ",".join(f"n{each}" for each in digests.split(",")),
    }
    ready = {"type": "Ready", "status": str(is_ready), "lastTransitionTime": "2026-11-25T01:02:00Z"}
    metadata = {"name": name, "annotations": annotations, "creationTimestamp": "2026-11-25T01:00:30Z"}
    return {"metadata": metadata, "spec": {"nodeName": "n"}, "status": {"conditions": [ready], **more}}


def test_what_is_served_is_what_every_ready_pod_serves() -> None:
    workload = {"spec": {"template": serving("t", "c")}}
    assert served_by(workload, []) == {"nc": "c"}
    assert served_by(workload, [serving("a", "a,b"), serving("b", "b,c"), serving("c", "c", is_ready=False)]) == {
        "nb": "b"
    }


def test_a_cold_start_is_a_pod_s_own_without_restarts() -> None:
    restarted = serving("b", "a", containerStatuses=[container("engine", 2)])
    assert cold_start_ms([serving("a", "a"), restarted]) == 90_000
    assert cold_start_ms([restarted, serving("c", "a", is_ready=False)]) is None


def test_hardware_is_what_the_nodes_say() -> None:
    labels = {"nvidia.com/gpu.product": "NVIDIA-L40S", "node.kubernetes.io/instance-type": "g6e.2xlarge"}
    nodes = [{"metadata": {"name": "n", "labels": labels}}]
    assert hardware_of([serving("a", "a"), serving("b", "a")], nodes) == "2 x NVIDIA-L40S (g6e.2xlarge)"
    assert hardware_of([serving("a", "a")], []) is None


def test_the_address_is_the_way_in_from_farthest_outside() -> None:
    labels = {"app.kubernetes.io/instance": "chat"}
    service = {
        "metadata": {"name": "chat-pods", "namespace": "llm", "labels": labels},
        "spec": {"ports": [{"port": 8080}]},
    }
    ingress = {"metadata": {}, "spec": {"tls": [{}], "rules": [{"host": "llm.example.com"}]}}
    route = {"metadata": {}, "spec": {"hostnames": ["gateway.example.com"]}}
    assert url_of([ingress], [route], [service]) == "https://llm.example.com/v1"
    assert url_of([], [route], [service]) == "https://gateway.example.com/v1"
    assert url_of([], [], [service]) == "http://chat-pods.llm.svc.cluster.local:8080/v1"
    assert url_of([], [], []) == ""
