"""Rollouts on a full cluster: two nodes with one GPU each, two replicas with one GPU each."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from cluster_ground import Live, live, trained, wrong
from control_plane import ControlPlane, wait_for
from kube_http import Answered, Object

pytestmark = pytest.mark.cluster
OLD, NEW = trained(version=1), trained(version=2)
PENDING = "0/2 nodes are available"
HANGS_S = 10  # a whole rollout of the builders' takes 3


@pytest.fixture
def full(plane: ControlPlane) -> Iterator[Live]:
    """Both GPUs serve OLD."""
    endpoint = live(plane, OLD)
    try:
        endpoint.apply()
        endpoint.await_ready(2, OLD)
        yield endpoint
    finally:
        endpoint.remove()


def node_of(pod: Object) -> str:
    return str(pod["spec"]["nodeName"])


def test_the_first_rollout_spreads_over_the_zones(full: Live) -> None:
    assert sorted(node_of(pod) for pod in full.ready()) == ["gpu-a", "gpu-b"]


def test_a_change_of_adapter_always_leaves_one_that_answers(full: Live) -> None:
    full.apply(NEW)
    least = 2
    while len(full.ready(NEW)) < 2:
        least = min(least, len(full.ready()))
    assert least == 1
    assert len(full.await_ready(2, NEW)) == 2


def test_a_roll_back_takes_the_replica_set_of_before(full: Live) -> None:
    before = {pod["metadata"]["labels"]["pod-template-hash"] for pod in full.ready()}
    full.apply(NEW)
    full.await_ready(2, NEW)
    full.apply(OLD)
    after = {pod["metadata"]["labels"]["pod-template-hash"] for pod in full.await_ready(2, OLD)}
    assert after == before


def test_the_default_surge_hangs_for_want_of_a_third_gpu(full: Live) -> None:
    full.apply(NEW, maxSurge="25%", maxUnavailable="25%")
    wait_for("a pod without a node", full.pending)
    until = time.monotonic() + HANGS_S
    while time.monotonic() < until:
        assert (len(full.ready(OLD)), len(full.ready(NEW)), len(full.pods())) == (2, 0, 3)
    assert [PENDING in reason and "Insufficient nvidia.com/gpu" in reason for reason in full.pending()] == [True]
    full.apply(NEW)
    assert len(full.await_ready(2, NEW)) == 2


def test_a_wrong_digest_never_becomes_ready_and_the_old_version_goes_on(full: Live) -> None:
    full.apply(wrong())
    stuck = wait_for("the init container", lambda: [pod for pod in full.pods() if is_crashing(pod)])
    assert len(stuck) == 1
    assert len(full.ready(OLD)) == 1
    assert full.ready(wrong()) == []
    full.apply(OLD)
    assert len(full.await_ready(2, OLD)) == 2


def test_two_adapters_are_one_template(full: Live) -> None:
    second = trained("legal")
    full.apply(OLD, second)
    pods = full.await_ready(2, OLD, second)
    assert len({pod["metadata"]["labels"]["pod-template-hash"] for pod in pods}) == 1


def test_scaling_down_and_up_keeps_the_version(full: Live) -> None:
    for replicas in (1, 2):
        full.plane.kube.patch(f"{full.path}/scale", {"spec": {"replicas": replicas}})
        assert len(full.await_ready(replicas, OLD)) == replicas


def test_a_drain_takes_one_pod_and_waits_with_the_other(full: Live) -> None:
    first, second = full.ready()
    node = f"/api/v1/nodes/{node_of(first)}"
    full.plane.kube.patch(node, {"spec": {"unschedulable": True}})
    try:
        evict(full, first)
        wait_for("the eviction", lambda: len(full.ready()) == 1)
        with pytest.raises(Answered, match="disruption budget") as refused:
            evict(full, second)
        assert refused.value.status == 429
    finally:
        full.plane.kube.patch(node, {"spec": {"unschedulable": None}})
    full.await_ready(2, OLD)
    wait_for("the budget", lambda: evicted(full, second))
    full.await_ready(2, OLD)


def is_crashing(pod: Object) -> bool:
    states = [each["state"] for each in pod["status"].get("initContainerStatuses") or []]
    return any(state.get("waiting", {}).get("reason") == "CrashLoopBackOff" for state in states)


def evict(full: Live, pod: Object) -> None:
    name = pod["metadata"]["name"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": full.namespace}}
    full.plane.kube.call("POST", f"/api/v1/namespaces/{full.namespace}/pods/{name}/eviction", body)


def evicted(full: Live, pod: Object) -> bool:
    """Whether the budget lets it go now; it may be a moment behind."""
    try:
        evict(full, pod)
    except Answered:
        return False
    return True
