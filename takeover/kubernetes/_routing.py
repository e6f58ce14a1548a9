"""Several replicas behind the Gateway API's inference extension; docs/kubernetes-routing.md says why this one.

An InferencePool of the pods, llm-d's endpoint picker, which knows who holds a prompt's beginning and which adapter is
on the GPU, and an HTTPRoute from a Gateway that exists. Configuration of llm-d/llm-d-router v0.10.0 (docs/architecture
.md, docs/metrics.md, config/charts/routerlib, read 2026-11-25).
"""

from __future__ import annotations

from typing import Any

from takeover.kubernetes import names
from takeover.kubernetes._gate import PATHS
from takeover.kubernetes._object import Manifest, manifest, without_empty
from takeover.kubernetes._probes import grace_seconds, start_limit_s
from takeover.kubernetes._security import container_security, pod_security
from takeover.kubernetes.serving import Serving

__all__ = ["routing"]

_GRPC, _HEALTH, _METRICS = 9002, 9003, 9090
_FOLDER, _FILE = "/config", "picker.yaml"

_CONFIG = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
{flow}plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
- type: lora-affinity-scorer
- type: max-score-picker
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: queue-scorer
    weight: 2
  - pluginRef: kv-cache-utilization-scorer
    weight: 2
  - pluginRef: prefix-cache-scorer
    weight: 3
  - pluginRef: lora-affinity-scorer
    weight: 1
  - pluginRef: max-score-picker
"""
# Without a pod, requests wait in the picker until one has started; its queue is what wakes the first.
_FLOW = """\
featureGates:
- flowControl
flowControl:
  defaultRequestTTL: {seconds}s
"""


def routing(serving: Serving) -> list[Manifest]:
    """In the order in which they are needed; none where the Service alone distributes."""
    if serving.options.routing != "inference-extension":
        return []
    config = _configuration(serving)
    return [
        *_rights(serving),
        config,
        _picker(serving, config),
        _picker_service(serving),
        _picker_policy(serving),
        _pool(serving),
        _route(serving),
    ]


def _configuration(serving: Serving) -> Manifest:
    flow = _FLOW.format(seconds=start_limit_s(serving)) if serving.min_replicas == 0 else ""
    data = {_FILE: _CONFIG.format(flow=flow)}
    name = names.content_name(serving.name, names.PICKER, data)
    return manifest(serving, "v1", "ConfigMap", name, component=names.PICKER, immutable=True, data=data)


def _rights(serving: Serving) -> list[Manifest]:
    """It watches pods and pool of this namespace, and changes nothing."""
    name, api = names.picker(serving.name), "rbac.authorization.k8s.io/v1"
    account = manifest(
        serving, "v1", "ServiceAccount", name, component=names.PICKER, automountServiceAccountToken=False
    )
    read = ["get", "list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": read},
        {"apiGroups": ["inference.networking.k8s.io"], "resources": ["inferencepools"], "verbs": read},
        {"apiGroups": ["llm-d.ai"], "resources": ["inferenceobjectives", "inferencemodelrewrites"], "verbs": read},
    ]
    role = manifest(serving, api, "Role", name, component=names.PICKER, rules=rules)
    binding = manifest(
        serving,
        api,
        "RoleBinding",
        name,
        component=names.PICKER,
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        subjects=[{"kind": "ServiceAccount", "name": name, "namespace": serving.namespace}],
    )
    return [account, role, binding]


def _picker(serving: Serving, config: Manifest) -> Manifest:
    """One of it: its view of who holds which prompt is its own. While it is away the pool is open (`FailOpen`)."""
    spec = {
        "replicas": 1,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "selector": {"matchLabels": names.selector(serving.name, names.PICKER)},
        "template": {
            "metadata": {"labels": names.labels(serving.name, serving.labels, names.PICKER)},
            "spec": _picker_pod(serving, config),
        },
    }
    return manifest(serving, "apps/v1", "Deployment", names.picker(serving.name), component=names.PICKER, spec=spec)


def _picker_pod(serving: Serving, config: Manifest) -> Manifest:
    """The one pod with an API token: it watches which pods there are."""
    return {
        "serviceAccountName": names.picker(serving.name),
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_seconds(serving),
        "securityContext": pod_security(),
        **without_empty({"imagePullSecrets": [{"name": name} for name in serving.options.image_pull_secrets]}),
        "containers": [_picker_container(serving)],
        "volumes": [{"name": "config", "configMap": {"name": config["metadata"]["name"]}}],
    }


def _picker_container(serving: Serving) -> Manifest:
    probe = {"grpc": {"port": _HEALTH}, "periodSeconds": 5, "timeoutSeconds": 5}
    return {
        "name": "picker",
        "image": serving.options.picker_image,
        "args": [
            f"--pool-name={names.workload(serving.name)}",
            f"--pool-namespace={serving.namespace}",
            "--pool-group=inference.networking.k8s.io",
            f"--config-file={_FOLDER}/{_FILE}",
            *(f"--grpc-port={_GRPC}", f"--grpc-health-port={_HEALTH}", f"--metrics-port={_METRICS}"),
            # The NetworkPolicy decides who reads them; by token it would take rights over the whole cluster.
            "--metrics-endpoint-auth=false",
            "--tracing=false",
            "--zap-encoder=json",
        ],
        "ports": [
            {"name": name, "containerPort": port, "protocol": "TCP"}
            for name, port in (("grpc", _GRPC), ("grpc-health", _HEALTH), ("metrics", _METRICS))
        ],
        "readinessProbe": probe,
        "livenessProbe": probe | {"initialDelaySeconds": 10, "failureThreshold": 6},
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "4Gi"}},
        "securityContext": container_security(),
        "volumeMounts": [{"name": "config", "mountPath": _FOLDER, "readOnly": True}],
    }


def _picker_service(serving: Serving) -> Manifest:
    spec = {
        "type": "ClusterIP",
        "selector": names.selector(serving.name, names.PICKER),
        "ports": [
            {"name": "grpc-ext-proc", "port": _GRPC, "targetPort": _GRPC, "protocol": "TCP", "appProtocol": "http2"}
        ],
    }
    return manifest(serving, "v1", "Service", names.picker(serving.name), component=names.PICKER, spec=spec)


def _picker_policy(serving: Serving) -> Manifest:
    """The gateway asks it; it asks the pods and the API server, whose address differs from cluster to cluster."""
    gateway = serving.options.gateway
    assert gateway is not None

    def namespace(name: str) -> dict[str, Any]:
        return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}

    spec = {
        "podSelector": {"matchLabels": names.selector(serving.name, names.PICKER)},
        "policyTypes": ["Ingress"],
        "ingress": [
            {"from": [namespace(gateway.namespace)], "ports": [{"protocol": "TCP", "port": _GRPC}]},
            {
                "from": [namespace(serving.options.monitoring_namespace)],
                "ports": [{"protocol": "TCP", "port": _METRICS}],
            },
        ],
    }
    name = names.picker(serving.name)
    return manifest(serving, "networking.k8s.io/v1", "NetworkPolicy", name, component=names.PICKER, spec=spec)


def _pool(serving: Serving) -> Manifest:
    """The picker scrapes the port that it routes to, so it has the metrics too; no caller reaches it."""
    spec = {
        "selector": {"matchLabels": names.selector(serving.name)},
        "targetPorts": [{"number": names.POOL_PORT}],
        "endpointPickerRef": {
            "kind": "Service",
            "name": names.picker(serving.name),
            "port": {"number": _GRPC},
            "failureMode": "FailOpen",
        },
    }
    api = "inference.networking.k8s.io/v1"
    return manifest(serving, api, "InferencePool", names.workload(serving.name), spec=spec)


def _route(serving: Serving) -> Manifest:
    """The same list of paths as at the gate: what is not in it does not even reach a pod."""
    gateway = serving.options.gateway
    assert gateway is not None
    parent = without_empty({"name": gateway.name, "namespace": gateway.namespace, "sectionName": gateway.section})
    pool = {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": names.workload(serving.name)}
    spec = {
        "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", **parent}],
        "rules": [
            {
                "matches": [{"path": {"type": "Exact", "value": path}, "method": method} for method, path in PATHS],
                "backendRefs": [pool],
                "timeouts": {"request": f"{serving.options.request_timeout_seconds}s"},
            }
        ],
    }
    api = "gateway.networking.k8s.io/v1"
    return manifest(serving, api, "HTTPRoute", names.workload(serving.name), spec=spec)
