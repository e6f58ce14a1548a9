"""What keeps the pods: a Deployment, or a LeaderWorkerSet where one replica is several nodes; and what guards them."""

from __future__ import annotations

from takeover.kubernetes import names
from takeover.kubernetes._object import Manifest, manifest
from takeover.kubernetes._pod import all_pods, pod_annotations, pod_template
from takeover.kubernetes._probes import start_limit_s
from takeover.kubernetes.serving import Serving

__all__ = ["disruption_budget", "namespace", "rolling", "service_account", "workload", "workload_kind"]


def workload(serving: Serving, fetch: Manifest, gate: Manifest) -> Manifest:
    """The rollout of these very adapters: a change of one is another template, never a change inside of a pod."""
    return _group(serving, fetch, gate) if serving.options.nodes > 1 else _deployment(serving, fetch, gate)


def workload_kind(serving: Serving) -> tuple[str, str]:
    """(apiVersion, kind)."""
    return (
        ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet") if serving.options.nodes > 1 else ("apps/v1", "Deployment")
    )


def rolling(serving: Serving) -> dict[str, int]:
    """By default one replica ends before its successor starts: on full GPUs a surge would wait for ever."""
    return {"maxSurge": 1, "maxUnavailable": 0} if serving.options.spare_gpu else {"maxSurge": 0, "maxUnavailable": 1}


def _replicas(serving: Serving) -> Manifest:
    """Left out where a scaler has it, or every `up` would set it back."""
    return {} if serving.is_scaled else {"replicas": serving.min_replicas}


def _deployment(serving: Serving, fetch: Manifest, gate: Manifest) -> Manifest:
    spec = {
        **_replicas(serving),
        "revisionHistoryLimit": 3,
        "progressDeadlineSeconds": start_limit_s(serving),
        "minReadySeconds": 10,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling(serving)},
        "selector": {"matchLabels": names.selector(serving.name)},
        "template": pod_template(serving, fetch, gate),
    }
    api, kind = workload_kind(serving)
    annotations = pod_annotations(serving)
    return manifest(serving, api, kind, names.workload(serving.name), annotations=annotations, spec=spec)


def _group(serving: Serving, fetch: Manifest, gate: Manifest) -> Manifest:
    """Leader and workers of a replica live and die together: one that ends takes the others along."""
    spec = {
        **_replicas(serving),
        "startupPolicy": "LeaderCreated",
        "rolloutStrategy": {"type": "RollingUpdate", "rollingUpdateConfiguration": rolling(serving)},
        "leaderWorkerTemplate": {
            "size": serving.options.nodes,
            "restartPolicy": "RecreateGroupOnPodRestart",
            "leaderTemplate": pod_template(serving, fetch, gate),
            "workerTemplate": pod_template(serving, fetch, gate, is_worker=True),
        },
    }
    api, kind = workload_kind(serving)
    annotations = pod_annotations(serving)
    return manifest(serving, api, kind, names.workload(serving.name), annotations=annotations, spec=spec)


def namespace(serving: Serving) -> Manifest:
    """The endpoint's own namespace, in which nothing may run that this pod spec would not."""
    labels = {
        **names.labels(serving.name, serving.labels),
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
        **serving.platform.namespace_labels,
    }
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": serving.namespace, "labels": labels}}


def service_account(serving: Serving) -> Manifest:
    """An identity for the cloud's storage, where annotations bind it to one; none for the API server."""
    annotations = {**serving.platform.service_account_annotations, **serving.options.service_account_annotations}
    return manifest(
        serving,
        "v1",
        "ServiceAccount",
        names.workload(serving.name),
        annotations=annotations,
        automountServiceAccountToken=False,
    )


def disruption_budget(serving: Serving) -> Manifest:
    """One pod at a time may be drained, workers too: `minAvailable` would hold a node for ever with one replica."""
    spec = {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": all_pods(serving)},
    }
    return manifest(serving, "policy/v1", "PodDisruptionBudget", names.workload(serving.name), spec=spec)
