"""What runs, read out of a Deployment, its pods and their nodes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from takeover.kubernetes import names

__all__ = [
    "SGLANG_PREFIX",
    "base_of",
    "cold_start_ms",
    "hardware_of",
    "is_ready",
    "is_sglang",
    "key_secret_of",
    "models_of",
    "served_by",
    "template_of",
    "url_of",
]

Object = Mapping[str, Any]
# What callers put before an adapter's name there (docs of SGLang, OpenAI-compatible API).
SGLANG_PREFIX = "lora:"


def is_ready(pod: Object) -> bool:
    """Whether it answers: ready, and not on its way out."""
    conditions = {each["type"]: each["status"] for each in (pod.get("status") or {}).get("conditions") or []}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def template_of(workload: Object) -> Object:
    """The template of the pods that answer, of a Deployment or of a LeaderWorkerSet."""
    spec = workload["spec"]
    found: Object = (
        spec["leaderWorkerTemplate"]["leaderTemplate"] if "leaderWorkerTemplate" in spec else spec["template"]
    )
    return found


def key_secret_of(workload: Object) -> str | None:
    """The Secret that the pods take their API key from."""
    for container in (template_of(workload).get("spec") or {}).get("containers") or []:
        for variable in container.get("env") or []:
            reference = (variable.get("valueFrom") or {}).get("secretKeyRef") or {}
            if reference.get("key") == names.API_KEY:
                return str(reference["name"])
    return None


def _listed(holder: Object, annotation: str) -> tuple[str, ...]:
    text = (holder["metadata"].get("annotations") or {}).get(annotation, "")
    return tuple(part for part in text.split(",") if part)


def digests_of(holder: Object) -> tuple[str, ...]:
    """The adapters' digests that a pod or a pod template bears, the default adapter's first."""
    return _listed(holder, names.DIGESTS_ANNOTATION)


def models_of(holder: Object) -> tuple[str, ...]:
    """The names that callers ask for."""
    prefix = SGLANG_PREFIX if _runs_sglang(holder) else ""
    return tuple(prefix + name for name in _listed(holder, names.ADAPTERS_ANNOTATION))


def is_sglang(workload: Object) -> bool:
    """Whether the engine is SGLang, by the program that its container starts."""
    return _runs_sglang(template_of(workload))


def _runs_sglang(holder: Object) -> bool:
    containers = (holder.get("spec") or {}).get("containers") or []
    return any("sglang" in part for each in containers for part in each.get("command") or [])


def base_of(holder: Object) -> str | None:
    found = (holder["metadata"].get("annotations") or {}).get(names.BASE_ANNOTATION)
    return str(found) if found else None


def served_by(deployment: Object, pods: Sequence[Object]) -> dict[str, str]:
    """Name -> digest of what every ready pod serves; of what a pod would serve, where none is ready."""
    ready = [pod for pod in pods if is_ready(pod)]
    holders = ready or [template_of(deployment)]
    found = [dict(zip(models_of(holder), digests_of(holder), strict=False)) for holder in holders]
    return {name: digest for name, digest in found[0].items() if all(other.get(name) == digest for other in found)}


def hardware_of(pods: Sequence[Object], nodes: Sequence[Object]) -> str | None:
    """`2 x NVIDIA-L40S (g6e.2xlarge)`, by the nodes' labels (NVIDIA's feature discovery, the cloud's instance type)."""
    places = {node["metadata"]["name"]: node["metadata"].get("labels") or {} for node in nodes}
    kinds: Counter[str] = Counter()
    for pod in pods:
        labels = places.get(pod["spec"].get("nodeName"), {})
        gpu, machine = labels.get("nvidia.com/gpu.product"), labels.get("node.kubernetes.io/instance-type")
        if gpu or machine:
            kinds[f"{gpu} ({machine})" if gpu and machine else str(gpu or machine)] += 1
    return ", ".join(f"{count} x {kind}" for kind, count in sorted(kinds.items())) or None


def cold_start_ms(pods: Sequence[Object]) -> int | None:
    """From a pod's making to its being ready, the longest of those that are; whole seconds, as the cluster keeps them.

    A pod that went unready in between would make this longer than its start was: only first readiness of a pod whose
    containers never restarted counts.
    """
    spans = [span for pod in pods if is_ready(pod) and (span := _start_s(pod)) is not None]
    return max(spans) * 1000 if spans else None


def _start_s(pod: Object) -> int | None:
    status = pod.get("status") or {}
    if any(each.get("restartCount") for each in status.get("containerStatuses") or []):
        return None
    since = {each["type"]: each.get("lastTransitionTime") for each in status.get("conditions") or []}
    made, ready = pod["metadata"].get("creationTimestamp"), since.get("Ready")
    if not made or not ready:
        return None
    span = datetime.fromisoformat(ready) - datetime.fromisoformat(made)
    return max(0, round(span.total_seconds()))


def url_of(ingresses: Sequence[Object], routes: Sequence[Object], services: Sequence[Object]) -> str:
    """Where callers ask: the Ingress' or route's host, else the Service's name inside the cluster; "" without any."""
    for ingress in ingresses:
        for rule in ingress["spec"].get("rules") or []:
            if rule.get("host"):
                return f"{'https' if _has_tls(ingress) else 'http'}://{rule['host']}/v1"
    for route in routes:
        for host in route["spec"].get("hostnames") or []:
            return f"https://{host}/v1"
    for each in services:
        if each["metadata"]["name"] == names.service(_instance(each)):
            port = each["spec"]["ports"][0]["port"]
            return f"http://{each['metadata']['name']}.{each['metadata']['namespace']}.svc.cluster.local:{port}/v1"
    return ""


def _has_tls(ingress: Object) -> bool:
    annotations = ingress["metadata"].get("annotations") or {}
    return bool(ingress["spec"].get("tls")) or any(key.endswith("/certificate-arn") for key in annotations)


def _instance(each: Object) -> str:
    return str((each["metadata"].get("labels") or {}).get("app.kubernetes.io/instance", ""))
