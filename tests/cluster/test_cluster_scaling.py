"""KEDA for real: its operator and metrics adapter, Prometheus, and an exporter in the place of vLLM on a GPU.

The ScaledObject is the builders' own. Only its times are shorter, the Deployment's pods need no GPU (there are two),
and what wakes it from zero is told by the exporter too, as a gateway would tell it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from cluster_ground import BASE, NAME, Given, free_gpus
from conftest import need
from control_plane import ControlPlane, wait_for
from keda_scene import Exporter, Keda, Prometheus
from kube_http import Object

from takeover.kubernetes import manifests, names

pytestmark = pytest.mark.cluster
WAITING, CACHE, GATEWAY = "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc", "gateway_requests_in_flight"
PATIENCE_S = 60
# Queue per replica is 2: so many wait for so many pods.
FOR_FOUR, FOR_TWO, FOR_ONE = 7, 4, 1


@dataclass(frozen=True)
class Scene:
    plane: ControlPlane
    exporter: Exporter
    prometheus: Prometheus

    def replicas(self) -> int:
        path = f"/apis/apps/v1/namespaces/{NAME}/deployments/{NAME}"
        return int(self.plane.kube.call("GET", path)["spec"]["replicas"])

    def await_replicas(self, count: int) -> None:
        wait_for(f"{count} replicas", lambda: self.replicas() == count, PATIENCE_S)
        assert self.replicas() == count

    def apply(self, least: int, most: int) -> None:
        """The endpoint that scales between these."""
        options = {
            "monitoring": "none",
            "prometheus": self.prometheus.url,
            **({"wakeQuery": f'sum({GATEWAY}{{namespace="{NAME}"}})'} if least == 0 else {}),
        }
        # KEDA resolves the container's environment, so the key must be there before the ScaledObject is.
        key = {"name": names.key_secret(NAME), "namespace": NAME}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": key, "stringData": {names.API_KEY: "key"}}
        self.plane.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}})
        self.plane.kube.apply(secret)
        for manifest in shortened(manifests(Given(options, replicas=(least, most)).serving())):
            self.plane.kube.apply(manifest)

    def is_broken(self) -> bool:
        """Whether KEDA uses the fallback."""
        found = self.plane.kube.call("GET", f"/apis/keda.sh/v1alpha1/namespaces/{NAME}/scaledobjects/{NAME}")
        conditions = {each["type"]: each["status"] for each in found["status"].get("conditions") or []}
        return conditions.get("Fallback") == "True"


def shortened(written: list[Object]) -> list[Object]:
    """Seconds for minutes; pods without a GPU."""
    for manifest in written:
        if manifest["kind"] == "ScaledObject":
            manifest["spec"] |= {"pollingInterval": 1, "cooldownPeriod": 3}
            behaviour = manifest["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
            for direction in behaviour.values():
                direction["stabilizationWindowSeconds"] = 0
                direction["policies"][0]["periodSeconds"] = 1
        if manifest["kind"] == "Deployment":
            for container in manifest["spec"]["template"]["spec"]["containers"]:
                container["resources"] = {}
    return written


@pytest.fixture(scope="module")
def scene(plane: ControlPlane) -> Iterator[Scene]:
    need("keda-operator", "keda-adapter", "prometheus")
    with Keda(plane) as keda:
        exporter = Exporter({"namespace": NAME, "model_name": BASE})
        exporter.gauges |= {WAITING: 0, CACHE: 0, GATEWAY: 0}
        prometheus = Prometheus(keda.processes, exporter.address)
        prometheus.start()
        try:
            yield Scene(plane, exporter, prometheus)
        finally:
            exporter.close()
            plane.kube.delete(f"/apis/keda.sh/v1alpha1/namespaces/{NAME}/scaledobjects/{NAME}")
            free_gpus(plane, NAME)


def test_a_queue_brings_pods_and_its_end_takes_them(scene: Scene) -> None:
    scene.apply(1, 4)
    scene.await_replicas(1)
    scene.exporter.gauges[WAITING] = FOR_FOUR
    scene.await_replicas(4)
    scene.exporter.gauges[WAITING] = FOR_ONE
    scene.await_replicas(1)


def test_a_full_cache_brings_pods_though_nobody_waits(scene: Scene) -> None:
    scene.apply(1, 4)
    scene.exporter.gauges |= {WAITING: 0, CACHE: 1.9}  # two pods, 95 % each
    scene.await_replicas(3)
    scene.exporter.gauges[CACHE] = 0.1
    scene.await_replicas(1)


def test_without_prometheus_the_replicas_stay_and_with_it_they_move_again(scene: Scene) -> None:
    scene.apply(1, 4)
    scene.exporter.gauges[WAITING] = FOR_TWO
    scene.await_replicas(2)
    scene.prometheus.kill()
    wait_for("KEDA's fallback", scene.is_broken, PATIENCE_S)
    assert scene.replicas() == 2
    scene.exporter.gauges[WAITING] = FOR_ONE
    scene.prometheus.start()
    scene.await_replicas(1)


def test_zero_is_left_by_what_stands_before_the_pods(scene: Scene) -> None:
    scene.apply(0, 4)
    scene.exporter.gauges |= {WAITING: 0, CACHE: 0, GATEWAY: 0}
    del scene.exporter.gauges[WAITING], scene.exporter.gauges[CACHE]  # no pod, no such series
    scene.await_replicas(0)
    scene.exporter.gauges[GATEWAY] = 1
    scene.await_replicas(1)
    scene.exporter.gauges |= {WAITING: 0, CACHE: 0, GATEWAY: 0}
    scene.await_replicas(0)
