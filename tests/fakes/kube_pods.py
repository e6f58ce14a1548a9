"""What runs in the fake cluster: pods of its Deployments, which become ready step by step and answer as vLLM does."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fakes.kube_store import Answer, Key, Object, Store, status

__all__ = ["METRICS", "NODE", "Pods"]

NODE = "gpu-node-1"
_PATH = re.compile(r"/api/v1(?:/namespaces/(?P<namespace>[^/]+))?/pods(?:/(?P<name>[a-z0-9-]+)(?::(?P<port>\d+))?"
                   r"(?:/(?P<after>log|proxy/metrics))?)?")  # fmt: skip
METRICS = """# TYPE vllm:request_success_total counter
vllm:request_success_total{finished_reason="stop",model_name="base"} 7
vllm:request_success_total{finished_reason="error",model_name="base"} 0
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{model_name="base"} 70
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{model_name="base"} 140
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{model_name="base"} 2
"""


class Pods:
    """`dies` are the last words of an init container from now on; without any, pods become ready."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.dies: list[str] = []
        self.unready: set[str] = set()
        self.asked_models: list[str] = []
        labels = {"nvidia.com/gpu.product": "NVIDIA-L40S", "node.kubernetes.io/instance-type": "g6e.2xlarge"}
        store.objects[Key("v1", "nodes", "", NODE)] = {
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": NODE, "labels": labels}, "status": {},
        }  # fmt: skip

    def answer(self, method: str, path: str, query: Mapping[str, str]) -> Answer | None:
        """What is about pods; a look at a Deployment moves its roll-out on first."""
        for key, deployment in self.store.of("deployments"):
            if method == "GET" and path.startswith(f"/apis/apps/v1/namespaces/{key.namespace}/deployments"):
                self._step(deployment)
        found = _PATH.fullmatch(path)
        if found is None or method != "GET":
            return None
        if ("get" if found["name"] else "list", "pods") in self.store.fake.denied:
            return None
        pods = list(self._pods(found["namespace"] or "", query.get("labelSelector", "")))
        if found["name"] is None:
            return Answer(200, {"kind": "PodList", "apiVersion": "v1", "items": pods})
        named = [pod for pod in pods if pod["metadata"]["name"] == found["name"]]
        if not named:
            return status(404, "NotFound", f'pods "{found["name"]}" not found', name=found["name"], kind="pods")
        return self._of(named[0], found["after"])

    def _of(self, pod: Object, after: str | None) -> Answer:
        if after is None:
            return Answer(200, pod)
        is_ready = pod["status"]["phase"] == "Running"
        if after == "log":
            return Answer(200, "" if is_ready else "\n".join(["fetching the adapter", *self.dies]))
        return Answer(200, METRICS) if is_ready else status(503, "ServiceUnavailable", "no endpoints available")

    def _step(self, deployment: Object) -> None:
        """One step of the roll-out: seen, then ready; or never ready."""
        spec, state = deployment["spec"], deployment.setdefault("status", {})
        wanted, generation = spec.get("replicas", 1), deployment["metadata"]["generation"]
        if state.get("observedGeneration") != generation:
            before = state.get("availableReplicas", 0)
            deployment["status"] = {"observedGeneration": generation, "replicas": wanted, "availableReplicas": before,
                                    "updatedReplicas": 0}  # fmt: skip
            if self.dies:
                self.unready.add(_uid(deployment))
            else:
                self.unready.discard(_uid(deployment))
            return
        ready = 0 if _uid(deployment) in self.unready else wanted
        deployment["status"] = {"observedGeneration": generation, "replicas": wanted, "updatedReplicas": wanted,
                                "readyReplicas": ready, "availableReplicas": ready}  # fmt: skip

    def _pods(self, namespace: str, selector: str) -> Iterator[Object]:
        for key, deployment in self.store.of("deployments", namespace):
            template = deployment["spec"]["template"]
            labels = template["metadata"]["labels"]
            from fakes.kube_store import matches

            if not matches(labels, selector):
                continue
            for index in range(deployment["spec"].get("replicas", 1)):
                metadata = {"name": f"{key.name}-{index}", "namespace": key.namespace, "labels": labels,
                            "annotations": template["metadata"].get("annotations", {})}  # fmt: skip
                yield {
                    "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
                    "spec": {**template["spec"], "nodeName": NODE}, "status": self._status(deployment),
                }  # fmt: skip

    def _status(self, deployment: Object) -> Object:
        if _uid(deployment) not in self.unready:
            return {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        ended = {"exitCode": 1, "reason": "Error"}
        container = (deployment["spec"]["template"]["spec"].get("initContainers") or [{"name": "fetch"}])[0]
        init = {"name": container["name"], "restartCount": 3, "ready": False, "lastState": {"terminated": ended},
                "state": {"waiting": {"reason": "CrashLoopBackOff"}}}  # fmt: skip
        return {"phase": "Pending", "conditions": [], "initContainerStatuses": [init]}

    def asked(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
        """A question to a Service: `/svc/NAMESPACE/SERVICE/v1/...`. None, so a cut, where no pod is behind it."""
        _, _, namespace, service, route = path.split("/", 4)
        found = self.store.objects.get(Key("v1", "services", namespace, service))
        if found is None:
            return None
        ready = [pod for pod in self._pods(namespace, _text(found["spec"]["selector"])) if _is_ready(pod)]
        if not ready:
            return Answer(503, {"error": {"message": "no pod is ready"}})
        given = headers.get("authorization", "").removeprefix("Bearer ")
        if given not in self._keys(namespace):
            return Answer(401, {"error": "Unauthorized"})
        question = json.loads(body)
        self.asked_models.append(question["model"])
        if route == "v1/completions":
            return Answer(200, {"choices": [{"text": ""}]})
        return Answer(
            200, {"choices": [{"message": {"role": "assistant", "content": f"{question['model']} says hello"}}]}
        )

    def _keys(self, namespace: str) -> set[str]:
        secrets = [each.get("data") or {} for _, each in self.store.of("secrets", namespace)]
        return {base64.b64decode(value).decode() for data in secrets for value in data.values()}


def _text(selector: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in selector.items())


def _is_ready(pod: Mapping[str, Any]) -> bool:
    return bool(pod["status"]["phase"] == "Running")


def _uid(deployment: Object) -> str:
    return str(deployment["metadata"]["uid"])
