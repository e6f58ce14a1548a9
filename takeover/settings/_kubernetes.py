"""`takeover:kubernetes`: what its keys say together. Pure; the clusters `kubernetes` and `eks` ask it.

docs/kubernetes.md is for people.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from takeover.errors import Refused
from takeover.planning.hardware import gpu_named
from takeover.settings._kubernetes_options import (
    ENGINE_IMAGE,
    GATE_IMAGE,
    ExternalKey,
    Gateway,
    Ingress,
    KubernetesOptions,
    Toleration,
    parse_options,
)
from takeover.settings._models import Hosting
from takeover.settings._raw import WrongSetting, join, shown

__all__ = [
    "ENGINE_IMAGE",
    "GATE_IMAGE",
    "ExternalKey",
    "Gateway",
    "Ingress",
    "KubernetesOptions",
    "Toleration",
    "kubernetes_mistakes",
    "parse_options",
]

_KEY = "kubernetes"
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DNS_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_LABEL = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_HOST = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")
_PINNED = re.compile(r"\S+@sha256:[0-9a-f]{64}")
_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
_CLUSTER = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def kubernetes_mistakes(options: KubernetesOptions, hosting: Hosting | None) -> Iterator[Refused]:
    """What is wrong with these options together, and with what the stack asks for; each names its YAML key."""
    yield from _cluster_mistakes(options, hosting)
    yield from _name_mistakes(options)
    yield from _there_mistakes(options)
    yield from _image_mistakes(options)
    yield from _hardware_mistakes(options)
    yield from _secret_mistakes(options)
    yield from _time_mistakes(options)
    yield from _scale_mistakes(options, hosting)
    yield from _routing_mistakes(options)
    yield from _network_mistakes(options)


def _wrong(key: str, said: str, *, why: str = "", fix: str) -> Refused:
    where = join(_KEY, *(int(part) if part.isdecimal() else part for part in key.split(".")))
    return WrongSetting(f"{where} {said}", why=why, fix=fix, where=where)


def _address_said(value: str) -> str:
    """A password is not quoted: messages end in logs."""
    return "holds a name or a password." if "@" in value else f"is {shown(value)}."


def _cluster_mistakes(options: KubernetesOptions, hosting: Hosting | None) -> Iterator[Refused]:
    """Which cluster a kubeconfig means is the machine's affair, and changes by one command: the stack says it too."""
    expected = options.expected_cluster
    if expected is not None and not _CLUSTER.fullmatch(expected):
        yield _wrong(
            "expectedCluster",
            _address_said(expected),
            fix="Write the API server's address as the kubeconfig has it, or the UID of the namespace kube-system.",
        )
    is_ours = hosting is None or hosting.cluster == "kubernetes"
    if hosting is not None and is_ours and expected is None and hosting.environment != "development":
        yield _wrong(
            "expectedCluster",
            f"is missing: {hosting.environment} names the cluster that it belongs to.",
            why="`kubectl config use-context` would otherwise move this stack to another cluster, and nobody notices.",
            fix="Add the address that `kubectl config view --minify -o jsonpath={.clusters[0].cluster.server}` prints.",
        )
    if hosting is not None and not is_ours:
        for key, value in (
            ("kubeconfig", options.kubeconfig),
            ("context", options.context),
            ("expectedCluster", expected),
        ):
            if value is not None:
                yield _wrong(
                    key, f"is set, but cluster is {hosting.cluster}, which the stack knows itself.", fix="Remove it."
                )


def _name_mistakes(options: KubernetesOptions) -> Iterator[Refused]:
    if options.namespace in ("default", "kube-system", "kube-public"):
        yield _wrong("namespace", f"is {options.namespace}.", fix="Name one of its own, or leave the key out.")
    for key, value, form in (
        ("namespace", options.namespace, _DNS_LABEL),
        ("monitoringNamespace", options.monitoring_namespace, _DNS_LABEL),
        ("apiKeySecret", options.api_key_secret, _DNS_NAME),
        ("hubTokenSecret", options.hub_token_secret, _DNS_NAME),
        ("storageSecret", options.storage_secret, _DNS_NAME),
        ("cacheClaim", options.cache_claim, _DNS_NAME),
        ("cacheStorageClass", options.cache_storage_class, _DNS_NAME),
        ("priorityClass", options.priority_class, _DNS_NAME),
        *((f"imagePullSecrets.{index}", name, _DNS_NAME) for index, name in enumerate(options.image_pull_secrets)),
    ):
        if value is not None and not form.fullmatch(value):
            yield _wrong(
                key, f"is {shown(value)}, which is no name in Kubernetes.", fix="Small letters, digits, dashes."
            )


def _there_mistakes(options: KubernetesOptions) -> Iterator[Refused]:
    """What lies in the namespace before the endpoint does needs a namespace that is there before."""
    named = {
        "apiKeySecret": options.api_key_secret,
        "hubTokenSecret": options.hub_token_secret,
        "storageSecret": options.storage_secret,
        "imagePullSecrets": options.image_pull_secrets or None,
        "cacheClaim": options.cache_claim,
    }
    for key, value in named.items():
        if value is not None and options.namespace is None:
            yield _wrong(
                key,
                "is set, but namespace is not: the namespace is made with the endpoint, so nothing can be there yet.",
                fix="Set namespace to the one in which it is.",
            )


def _image_mistakes(options: KubernetesOptions) -> Iterator[Refused]:
    for key, value in (
        ("image", options.image),
        ("gateImage", options.gate_image),
        ("pickerImage", options.picker_image),
    ):
        if value is not None and not _PINNED.fullmatch(value):
            yield _wrong(
                key,
                f"is {shown(value)}, which names no digest.",
                why="A tag can be moved: a pod that starts at night would run another program than the one beside it.",
                fix=f"Add @sha256:..., which `docker buildx imagetools inspect {value.split('@')[0]}` prints.",
            )
    if options.engine == "sglang" and options.image == ENGINE_IMAGE:
        yield _wrong(
            "image",
            "is vLLM's, but engine is sglang.",
            fix="Name an image of lmsysorg/sglang with its digest.",
        )


def _hardware_mistakes(options: KubernetesOptions) -> Iterator[Refused]:
    try:
        gpu_named(options.gpu)
    except Refused as error:
        yield _wrong("gpu", f"is {shown(options.gpu)}: {error.happened}.", why=error.why, fix=error.fix)
    if options.nodes > 1 and options.engine != "vllm":
        yield _wrong("nodes", f"is {options.nodes}, but engine is sglang.", fix="Use vllm for several nodes.")
    if options.shared_memory_gib >= options.memory_gib:
        yield _wrong(
            "sharedMemoryGib",
            f"is {options.shared_memory_gib}, but memoryGib is {options.memory_gib}.",
            why="Shared memory counts against the container's limit: filling it would kill the pod.",
            fix="Make it smaller, or memoryGib larger.",
        )
    if options.cache_claim is not None and options.cache_storage_class is not None:
        yield _wrong(
            "cacheStorageClass", "is set, but cacheClaim names a volume that exists.", fix="Keep one of the two."
        )


def _secret_mistakes(options: KubernetesOptions) -> Iterator[Refused]:
    external = options.external_secret
    if external is None:
        return
    for key, value in (("apiKeySecret", options.api_key_secret), ("hubTokenSecret", options.hub_token_secret)):
        if value is not None and (key == "apiKeySecret" or external.hub_token is not None):
            yield _wrong(key, "is set, but externalSecret brings it.", fix="Keep one of the two.")
    if external.hub_token_property is not None and external.hub_token is None:
        yield _wrong(
            "externalSecret.hubTokenProperty", "is set, but hubToken is not.", fix="Add hubToken, or remove it."
        )


def _time_mistakes(options: KubernetesOptions) -> Iterator[Refused]:
    if options.drain_seconds > options.request_timeout_seconds:
        yield _wrong(
            "drainSeconds",
            f"is {options.drain_seconds}, but no request takes longer than {options.request_timeout_seconds} s.",
            fix="Make it requestTimeoutSeconds at most.",
        )


def _scale_mistakes(options: KubernetesOptions, hosting: Hosting | None) -> Iterator[Refused]:
    for key, value in (("prometheus", options.prometheus), ("hubEndpoint", options.hub_endpoint)):
        if value is not None and not _URL.fullmatch(value):
            yield _wrong(key, _address_said(value), fix="Write http:// or https://, the host and its port.")
    if hosting is None:
        return
    varies = hosting.min_replicas != hosting.max_replicas
    if varies and options.scaler == "none":
        yield _wrong(
            "scaler",
            f"is none, but replicas are {hosting.min_replicas} to {hosting.max_replicas}.",
            fix="Use keda, or make takeover:hosting.minReplicas and maxReplicas equal.",
        )
    if varies and options.scaler == "keda" and options.prometheus is None:
        yield _wrong(
            "prometheus",
            "is missing: KEDA asks it for the queue.",
            fix="Add its address in the cluster, for example http://prometheus-operated.monitoring.svc:9090.",
        )
    if varies and options.nodes > 1 and options.scaler == "hpa":
        yield _wrong("scaler", f"is hpa, but nodes is {options.nodes}.", fix="Use keda.")
    if hosting.min_replicas == 0:
        yield from _zero_mistakes(options)


def _zero_mistakes(options: KubernetesOptions) -> Iterator[Refused]:
    if options.scaler != "keda":
        yield _wrong(
            "scaler",
            f"is {options.scaler}, but minReplicas is 0.",
            why="Only KEDA starts a first pod: an HPA needs a pod that tells its load.",
            fix="Use keda, or set takeover:hosting.minReplicas: 1.",
        )
    elif options.wake_query is None and options.routing == "service":
        yield _wrong(
            "wakeQuery",
            "is missing, but minReplicas is 0.",
            why="Without a pod there is no vllm:num_requests_waiting, so that signal never wakes one.",
            fix="Write a PromQL query on what stands before the pods (the gateway's or router's requests in flight).",
        )


def _routing_mistakes(options: KubernetesOptions) -> Iterator[Refused]:
    if options.routing == "inference-extension" and options.gateway is None:
        fix = "Add it: {name: ..., namespace: ...} of a Gateway whose class knows the inference extension."
        yield _wrong("gateway", "is missing: routing is inference-extension.", fix=fix)
    if options.routing != "inference-extension" and options.gateway is not None:
        yield _wrong("gateway", f"is set, but routing is {options.routing}.", fix="Set routing: inference-extension.")
    if options.routing == "inference-extension" and options.picker_image is None:
        fix = "Add ghcr.io/llm-d/llm-d-router-endpoint-picker:v0.10.0 with its digest."
        yield _wrong("pickerImage", "is missing: routing is inference-extension.", fix=fix)
    if options.routing == "service" and options.picker_image is not None:
        yield _wrong("pickerImage", "is set, but routing is service.", fix="Set routing: inference-extension.")
    if options.routing == "inference-extension" and options.ingress is not None:
        yield _wrong("ingress", "is set, but the gateway is the way in.", fix="Put the host on the Gateway's listener.")
    if options.routing == "inference-extension" and options.nodes > 1:
        yield _wrong("routing", f"is inference-extension, but nodes is {options.nodes}.", fix="Use service.")
    if options.ingress is not None and not _HOST.fullmatch(options.ingress.host):
        yield _wrong("ingress.host", f"is {shown(options.ingress.host)}.", fix="Write a name such as llm.example.com.")


def _network_mistakes(options: KubernetesOptions) -> Iterator[Refused]:
    for index, text in enumerate(options.egress_cidrs):
        if not _is_cidr(text):
            yield _wrong(f"egressCidrs.{index}", f"is {shown(text)}.", fix="Write a network such as 10.0.0.0/8.")
    for index, text in enumerate(options.callers):
        if not (_is_cidr(text) if "/" in text else _DNS_LABEL.fullmatch(text)):
            fix = "Write a namespace's name, or a network such as 10.0.0.0/8."
            yield _wrong(f"callers.{index}", f"is {shown(text)}.", fix=fix)
    for key, names in (
        ("nodeSelector", options.node_selector),
        ("monitorLabels", options.monitor_labels),
        ("serviceAccountAnnotations", options.service_account_annotations),
    ):
        for name in names:
            if not _LABEL.fullmatch(name):
                yield _wrong(key, f"has the key {shown(name)}.", fix="Write NAME or PREFIX/NAME.")


def _is_cidr(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return "/" in text
