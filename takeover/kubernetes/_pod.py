"""The pod: fetch and verify, then the gate, then the engine."""

from __future__ import annotations

from typing import Any

from takeover.kubernetes import names
from takeover.kubernetes._engine import command, environment
from takeover.kubernetes._fetch import ADAPTERS_VOLUME, fetch_container
from takeover.kubernetes._gate import gate_container, gate_volumes
from takeover.kubernetes._object import Manifest, without_empty
from takeover.kubernetes._probes import engine_probes, grace_seconds, lifecycle
from takeover.kubernetes._security import container_security, pod_security, scratch
from takeover.kubernetes.serving import Serving
from takeover.settings._kubernetes import Toleration

__all__ = ["WORKER", "all_pods", "pod_annotations", "pod_template"]

# The further nodes of a replica: no Service selects them.
WORKER = "worker"
# More than any: rank 256 on all layers of a base of 70 billion has 3.3.
_ADAPTER_GIB = 4


def pod_template(serving: Serving, fetch: Manifest, gate: Manifest, *, is_worker: bool = False) -> Manifest:
    """The template of one role; `fetch` and `gate` are the ConfigMaps that it mounts."""
    component = WORKER if is_worker else names.ENGINE
    labels = names.labels(serving.name, serving.labels, component) | {names.DIGEST_LABEL: _short_digest(serving)}
    metadata = {"labels": labels, "annotations": pod_annotations(serving) | dict(serving.platform.pod_annotations)}
    return {"metadata": metadata, "spec": _spec(serving, fetch, gate, is_worker)}


def all_pods(serving: Serving) -> dict[str, str]:
    """The labels of the engine's pods; where a replica is several, of workers too, which differ in the component."""
    found = names.selector(serving.name)
    return found if serving.options.nodes == 1 else {k: v for k, v in found.items() if not k.endswith("/component")}


def _short_digest(serving: Serving) -> str:
    return serving.models[0].digest.removeprefix("sha256:")[:12]


def pod_annotations(serving: Serving) -> dict[str, str]:
    """What is served, in whole: other adapters are another template, and so a rollout."""
    return {
        names.DIGESTS_ANNOTATION: ",".join(model.digest for model in serving.models),
        names.ADAPTERS_ANNOTATION: ",".join(names.lora_name(model) for model in serving.models),
        names.BASE_ANNOTATION: serving.base,
        **({names.KEY_ANNOTATION: serving.key_mark} if serving.key_mark else {}),
    }


def _spec(serving: Serving, fetch: Manifest, gate: Manifest, is_worker: bool) -> Manifest:
    options, platform = serving.options, serving.platform
    sidecar = [] if is_worker else [gate_container(serving)]
    return without_empty(
        {
            "serviceAccountName": names.workload(serving.name),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "priorityClassName": options.priority_class or platform.priority_class,
            "terminationGracePeriodSeconds": grace_seconds(serving),
            "securityContext": pod_security(),
            "nodeSelector": {**platform.node_selector, **options.node_selector},
            "tolerations": [*map(_toleration, options.tolerations), *map(dict, platform.tolerations)],
            "topologySpreadConstraints": [] if options.nodes > 1 else _spread(serving),
            "imagePullSecrets": [{"name": name} for name in options.image_pull_secrets],
            "initContainers": [fetch_container(serving), *sidecar],
            "containers": [_engine(serving, is_worker)],
            "volumes": _volumes(serving, fetch, None if is_worker else gate),
        }
    )


def _toleration(taint: Toleration) -> dict[str, Any]:
    value = {"operator": "Exists"} if taint.value is None else {"operator": "Equal", "value": taint.value}
    return {"key": taint.key, **value, "effect": taint.effect}


def _spread(serving: Serving) -> list[dict[str, Any]]:
    """Over zones, then nodes, as far as GPUs are free there; each version of the template for itself."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": names.selector(serving.name)},
            "matchLabelKeys": ["pod-template-hash"],
        }
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]


def _engine(serving: Serving, is_worker: bool) -> Manifest:
    """The engine; a worker has no socket that could be asked, and its group is made anew when it ends."""
    return {
        "name": "engine",
        "image": serving.options.image,
        "command": command(serving, is_worker=is_worker),
        "env": environment(serving),
        **({} if is_worker else {**engine_probes(serving), "lifecycle": lifecycle()}),
        "resources": _resources(serving),
        "securityContext": container_security(),
        "volumeMounts": [
            {"name": ADAPTERS_VOLUME, "mountPath": str(names.ADAPTERS), "readOnly": True},
            {"name": "cache", "mountPath": str(names.CACHE)},
            {"name": "shm", "mountPath": names.SHARED_MEMORY},
            {"name": "tmp", "mountPath": names.TMP},
        ],
    }


def _resources(serving: Serving) -> dict[str, Any]:
    """Memory and GPUs are what is asked for, at most too; the processor has no limit, which would only slow it down."""
    options = serving.options
    memory = {"memory": f"{options.memory_gib}Gi"}
    disk = {"ephemeral-storage": f"{options.cache_gib + _ADAPTER_GIB * len(serving.models)}Gi"}
    disk = disk if _is_on_node(serving) else {}
    gpus = {options.gpu_resource: str(options.gpus)}
    return {"requests": {"cpu": str(options.cpus), **memory, **disk, **gpus}, "limits": {**memory, **gpus}}


def _volumes(serving: Serving, fetch: Manifest, gate: Manifest | None) -> list[dict[str, Any]]:
    options = serving.options
    return [
        {"name": "fetch", "configMap": {"name": fetch["metadata"]["name"]}},
        scratch(ADAPTERS_VOLUME, f"{_ADAPTER_GIB * len(serving.models)}Gi"),
        {"name": "cache", **_cache(serving)},
        scratch("shm", f"{options.shared_memory_gib}Gi", is_memory=True),
        scratch("tmp", "4Gi"),
        *(gate_volumes(gate) if gate is not None else []),
    ]


def _storage_class(serving: Serving) -> str | None:
    return serving.options.cache_storage_class or serving.platform.storage_class


def _is_on_node(serving: Serving) -> bool:
    return serving.options.cache_claim is None and _storage_class(serving) is None


def _cache(serving: Serving) -> dict[str, Any]:
    """Where the base's weights go: a claim that exists, a volume of the pod's own, or the node's disk."""
    options, size = serving.options, f"{serving.options.cache_gib}Gi"
    if options.cache_claim is not None:
        return {"persistentVolumeClaim": {"claimName": options.cache_claim}}
    if _is_on_node(serving):
        return {"emptyDir": {"sizeLimit": size}}
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": _storage_class(serving),
        "resources": {"requests": {"storage": size}},
    }
    return {"ephemeral": {"volumeClaimTemplate": {"spec": claim}}}
