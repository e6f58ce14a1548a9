"""Manifests as Pulumi resources: one each, with a name that stays, so that a preview says what changes in which."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.kubernetes.key import ApiKey
from takeover.kubernetes import Serving, manifests, names, start_limit_s
from takeover.kubernetes.words import role_of

__all__ = ["Declared", "declare"]

Manifest = dict[str, Any]

# Those kinds that have a class of their own; what else there is are custom resources.
_CLASSES: Mapping[str, Callable[..., pulumi.CustomResource]] = {
    "Namespace": kubernetes.core.v1.Namespace,
    "ServiceAccount": kubernetes.core.v1.ServiceAccount,
    "ConfigMap": kubernetes.core.v1.ConfigMap,
    "Service": kubernetes.core.v1.Service,
    "Deployment": kubernetes.apps.v1.Deployment,
    "NetworkPolicy": kubernetes.networking.v1.NetworkPolicy,
    "Ingress": kubernetes.networking.v1.Ingress,
    "PodDisruptionBudget": kubernetes.policy.v1.PodDisruptionBudget,
    "Role": kubernetes.rbac.v1.Role,
    "RoleBinding": kubernetes.rbac.v1.RoleBinding,
    "HorizontalPodAutoscaler": kubernetes.autoscaling.v2.HorizontalPodAutoscaler,
}
_WORKLOADS = ("Deployment", "LeaderWorkerSet")
# They only make sense once pods are there; their deletion comes before that of the pods.
_AFTER_PODS = ("Ingress", "HTTPRoute", "ScaledObject", "HorizontalPodAutoscaler")
# Pulumi would wait 10 minutes for the pods behind a Service, which take longer to start; the Deployment waits for them.
_UNWAITED = {"pulumi.com/skipAwait": "true"}
_PULUMI_S = 40 * 60


@dataclass(frozen=True)
class Declared:
    """`workload` keeps the pods, `others` is everything else by its short name; `key` None where a store has it."""

    workload: pulumi.CustomResource
    others: Mapping[str, pulumi.CustomResource]
    key: pulumi.Output[Any]

    @property
    def replicas_ready(self) -> pulumi.Output[Any]:
        """The Deployment's own count; None for a LeaderWorkerSet."""
        if not isinstance(self.workload, kubernetes.apps.v1.Deployment):
            return pulumi.Output.from_input(None)
        return self.workload.status.apply(lambda status: getattr(status, "ready_replicas", None))


def declare(
    serving: Serving,
    key: ApiKey,
    *,
    provider: pulumi.ProviderResource,
    parent: pulumi.Resource,
    protect: bool = False,
    after: Sequence[pulumi.Resource] = (),
) -> Declared:
    """Every object of the endpoint below `parent`; none before `after`. `protect` is for pods and namespace."""
    made: dict[str, pulumi.CustomResource] = {}
    secret = None
    for each in manifests(serving):
        if _is_workload(each, serving):
            secret = _key_resource(serving, key, provider, parent, [*after, *_of_kinds(made, ("namespace",))])
        waits = [*after, *_needed(each, made, serving), *([secret] if secret is not None else [])]
        opts = _options(serving, each, provider, parent, protect, waits)
        made[role_of(each, serving.name)] = _resource(role_of(each, serving.name), each, opts)
    workload = next(made.pop(kind.lower()) for kind in _WORKLOADS if kind.lower() in made)
    return Declared(workload, made, _known_key(serving, key, provider, parent))


def _of_kinds(made: Mapping[str, pulumi.CustomResource], kinds: Sequence[str]) -> list[pulumi.CustomResource]:
    return [resource for role, resource in made.items() if role.partition("-")[0] in kinds]


def _is_workload(each: Manifest, serving: Serving) -> bool:
    """Whether these are the engine's pods; an endpoint picker is a Deployment too."""
    return each["kind"] in _WORKLOADS and each["metadata"]["name"] == names.workload(serving.name)


def _needed(each: Manifest, made: Mapping[str, pulumi.CustomResource], serving: Serving) -> list[pulumi.CustomResource]:
    """The namespace; for pods all that was made before them, the walls first; for what leads to them the pods."""
    if _is_workload(each, serving):
        return list(made.values())
    workloads = [kind.lower() for kind in _WORKLOADS] if each["kind"] in _AFTER_PODS else []
    return [resource for role, resource in made.items() if role in ("namespace", *workloads)]


def _options(
    serving: Serving,
    each: Manifest,
    provider: pulumi.ProviderResource,
    parent: pulumi.Resource,
    protect: bool,
    after: Sequence[pulumi.Resource],
) -> pulumi.ResourceOptions:
    is_workload = _is_workload(each, serving)
    limit = f"{max(_PULUMI_S, start_limit_s(serving) * max(serving.max_replicas, 1)) // 60}m"
    timeouts = pulumi.CustomTimeouts(create=limit, update=limit, delete="15m") if is_workload else None
    return pulumi.ResourceOptions(
        parent=parent,
        provider=provider,
        depends_on=list(after),
        protect=protect if is_workload or each["kind"] == "Namespace" else None,
        custom_timeouts=timeouts,
        # A scaler changes it all the time.
        ignore_changes=["spec.replicas"] if is_workload and serving.is_scaled else None,
    )


def _resource(name: str, each: Manifest, opts: pulumi.ResourceOptions) -> pulumi.CustomResource:
    kind, metadata = each["kind"], each["metadata"]
    rest = {_snake(key): value for key, value in each.items() if key not in ("apiVersion", "kind", "metadata")}
    if kind == "Service":
        metadata = {**metadata, "annotations": {**metadata.get("annotations", {}), **_UNWAITED}}
    if kind in _CLASSES:
        return _CLASSES[kind](name, metadata=metadata, opts=opts, **rest)
    return kubernetes.apiextensions.CustomResource(
        name, api_version=each["apiVersion"], kind=kind, metadata=metadata, spec=rest["spec"], opts=opts
    )


def _snake(key: str) -> str:
    """An argument's name in Python: automountServiceAccountToken -> automount_service_account_token."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)


def _key_resource(
    serving: Serving,
    key: ApiKey,
    provider: pulumi.ProviderResource,
    parent: pulumi.Resource,
    after: Sequence[pulumi.Resource],
) -> pulumi.CustomResource | None:
    """The Secret, where the key comes from the environment of whoever runs Pulumi."""
    if key.origin != "environment":
        return None
    return kubernetes.core.v1.Secret(
        "secret-key",
        metadata={
            "name": names.key_secret(serving.name),
            "namespace": serving.namespace,
            "labels": names.labels(serving.name, serving.labels),
        },
        string_data={names.API_KEY: pulumi.Output.secret(key.value)},
        opts=pulumi.ResourceOptions(
            parent=parent,
            provider=provider,
            depends_on=list(after),
            additional_secret_outputs=["data", "stringData"],
        ),
    )


def _known_key(
    serving: Serving, key: ApiKey, provider: pulumi.ProviderResource, parent: pulumi.Resource
) -> pulumi.Output[Any]:
    """The key for the stack's outputs, a secret; None where only the store tells it."""
    if key.origin == "environment":
        return pulumi.Output.secret(key.value)
    if key.origin == "store":
        return pulumi.Output.from_input(None)
    found = kubernetes.core.v1.Secret.get(
        "given-key",
        f"{serving.namespace}/{serving.options.api_key_secret}",
        opts=pulumi.ResourceOptions(parent=parent, provider=provider, additional_secret_outputs=["data", "stringData"]),
    )
    return pulumi.Output.secret(found.data.apply(_decoded))


def _decoded(data: Mapping[str, str] | None) -> str | None:
    """The entry of a Secret as text."""
    entry = (data or {}).get(names.API_KEY)
    return base64.b64decode(entry).decode() if entry else None
