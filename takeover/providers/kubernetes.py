"""vLLM pods on a Kubernetes cluster (`cluster: kubernetes` and `cluster: eks`): one rollout a version of the adapter.

What is written is what `takeover.kubernetes` makes of the settings, by server-side apply under the field manager
`takeover`. The cluster itself is the record: everything of an endpoint bears its name as a label, so that another
machine finds, changes and removes it. An endpoint's id is `NAMESPACE/NAME`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from takeover.errors import NotReady, Refused
from takeover.kubernetes import Serving, flags_for, manifests, names, serving_for
from takeover.providers._base import Described, Endpoint, EndpointSpec, InferenceMetrics, TrainedModel
from takeover.providers._http import Unreachable, json_of, send
from takeover.providers._kube_api import Kube, Object, opened
from takeover.providers._kube_deploy import apply_all, await_rollout, left_behind, remove, troubles
from takeover.providers._kube_place import (
    engine_selector,
    is_ours,
    key_mark,
    make_key,
    namespaces_of,
    ours,
    own_namespace,
    read_key,
    require_cluster,
    rollout_limit_s,
)
from takeover.providers._kube_rollout import rollout_of
from takeover.providers._kube_scale import scale_to
from takeover.providers._kube_seen import (
    SGLANG_PREFIX,
    base_of,
    cold_start_ms,
    hardware_of,
    is_ready,
    is_sglang,
    key_secret_of,
    models_of,
    served_by,
    template_of,
    url_of,
)
from takeover.providers._kube_wait import Wait
from takeover.providers._limits import require_deployable, require_replicas
from takeover.providers._metrics import SGLANG, VLLM, parse_vllm_metrics
from takeover.providers._openai import Server, build_chat, build_question, parse_chat, parse_completion
from takeover.providers._progress import progress
from takeover.settings._kubernetes import KubernetesOptions, parse_options
from takeover.tiers import tier

__all__ = ["KubernetesProvider"]

DELETE_S = 900.0


class KubernetesProvider:
    """`InferenceProvider` over a cluster's API. Which cluster: the kubeconfig's context, or `takeover:kubernetes`."""

    name = "dedicated-vllm"

    def __init__(
        self,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        known: tuple[tuple[TrainedModel, ...], EndpointSpec] | None = None,
    ) -> None:
        self._sleep = sleep
        self._known = known

    def knowing(self, models: tuple[TrainedModel, ...], spec: EndpointSpec) -> KubernetesProvider:
        """The same, told by what options (context, namespace) an endpoint was deployed."""
        return KubernetesProvider(sleep=self._sleep, known=(models, spec))

    def _options(self, name: str) -> KubernetesOptions | None:
        return parse_options(self._known[1].options) if self._known and self._known[1].name == name else None

    def _namespace(self, name: str) -> str | None:
        """Where the endpoint lies, as far as the stack is known."""
        options = self._options(name)
        return (options.namespace or name) if options else None

    def named(self, models: tuple[TrainedModel, ...], options: Mapping[str, Any]) -> tuple[TrainedModel, ...]:
        """The models under the names that callers must ask for: SGLang wants a prefix. Pure."""
        prefix = SGLANG_PREFIX if parse_options(options).engine == "sglang" else ""
        return tuple(model.model_copy(update={"served_name": prefix + names.lora_name(model)}) for model in models)

    @asynccontextmanager
    async def _cluster(self, options: KubernetesOptions | None) -> AsyncIterator[Kube]:
        """The cluster of these options, which is the one that they expect."""
        wanted = options or KubernetesOptions()
        async with opened(wanted.kubeconfig, wanted.context, sleep=self._sleep) as kube:
            await require_cluster(kube, wanted.expected_cluster)
            yield kube

    async def deploy(self, models: tuple[TrainedModel, ...], spec: EndpointSpec) -> Endpoint:
        require_deployable(tier(self.name, spec.cluster or "kubernetes"), models, spec)
        serving = serving_for(models, spec, flags_for(models, spec))
        async with self._cluster(serving.options) as kube:
            progress("prepare", f"preparing {spec.name} in the namespace {serving.namespace}")
            return await self._deploy(kube, serving)

    async def _deploy(self, kube: Kube, serving: Serving) -> Endpoint:
        name, namespace = serving.name, serving.namespace
        labels = names.labels(name, serving.labels)
        for space in (each for each in manifests(serving) if each["kind"] == "Namespace"):
            await own_namespace(kube, space, name, self._wait(DELETE_S))
        key = await make_key(kube, serving.options, name, namespace, labels)
        wanted = manifests(replace(serving, key_mark=key_mark(key)))
        await apply_all(kube, wanted, name, namespace)
        await await_rollout(kube, wanted, namespace, self._wait(rollout_limit_s(serving)))
        workload = await self._look(kube, name, namespace)
        if workload is None:
            raise NotReady(f"{name} was removed by somebody else meanwhile", fix="Deploy it again.")
        endpoint = await self._seen(kube, workload)
        await _ask(endpoint)
        kept = [*wanted, {"kind": "Secret", "metadata": {"name": names.key_secret(name)}}]
        left = await left_behind(kube, name, namespace, kept)
        progress("prune", f"{len(left)} objects of the version before are removed")
        await remove(kube, left, namespace, self._wait(DELETE_S), "prune")
        progress("prune", f"{name} serves {', '.join(endpoint.models)}")
        return endpoint

    def _wait(self, limit_s: float) -> Wait:
        return Wait(limit_s, self._sleep)

    async def _look(self, kube: Kube, name: str, namespace: str | None = None) -> Object | None:
        """The Deployment or LeaderWorkerSet of the endpoint, wherever it lies."""
        for place in await namespaces_of(kube, name, self._namespace(name) or namespace):
            for kind in ("Deployment", "LeaderWorkerSet"):
                found = await kube.get_if_allowed(kind, place, names.workload(name))
                if found is not None and is_ours(found, name):
                    return found
        return None

    async def _seen(self, kube: Kube, workload: Object) -> Endpoint:
        """The endpoint as the cluster has it now."""
        name, namespace = workload["metadata"]["name"], workload["metadata"]["namespace"]
        ways = [
            await kube.items_if_allowed(kind, namespace, ours(name)) for kind in ("Ingress", "HTTPRoute", "Service")
        ]
        return Endpoint(
            id=f"{namespace}/{name}",
            name=name,
            provider=self.name,
            url=url_of(*ways),
            models=models_of(template_of(workload)),
            api_key=await read_key(kube, key_secret_of(workload) or names.key_secret(name), namespace),
            replicas_ready=(workload.get("status") or {}).get("readyReplicas", 0),
            cold_start_measured_ms=cold_start_ms(await kube.pods_if_allowed(namespace, engine_selector(name))),
        )

    async def find(self, name: str) -> Endpoint | None:
        async with self._cluster(self._options(name)) as kube:
            found = await self._look(kube, name)
            return await self._seen(kube, found) if found else None

    async def describe(self, endpoint: Endpoint) -> Described | None:
        async with self._cluster(self._options(endpoint.name)) as kube:
            workload = await self._look(kube, endpoint.name, _place_of(endpoint))
            if workload is None:
                return None
            seen = await self._seen(kube, workload)
            pods = await kube.pods_if_allowed(workload["metadata"]["namespace"], engine_selector(endpoint.name))
            served = served_by(workload, pods)
            reason = await _what_is_wrong(kube, workload)
            return Described(
                endpoint=seen,
                base=base_of(template_of(workload)),
                models=tuple(served),
                digests=tuple(served.values()),
                replicas=seen.replicas_ready,
                hardware=hardware_of(pods, await kube.nodes_if_allowed(pods)),
                healthy=not reason,
                reason=reason or ("" if seen.replicas_ready else "at 0 replicas"),
            )

    async def scale(self, endpoint: Endpoint, replicas: int) -> None:
        require_replicas(tier(self.name, "kubernetes"), replicas)
        async with self._cluster(self._options(endpoint.name)) as kube:
            workload = await self._look(kube, endpoint.name, _place_of(endpoint))
            if workload is None:
                raise Refused(f"there is no endpoint {endpoint.name} in {kube.access.called}", fix="Deploy it first.")
            await scale_to(kube, workload, replicas)

    async def destroy(self, endpoint: Endpoint) -> None:
        async with self._cluster(self._options(endpoint.name)) as kube:
            known = self._namespace(endpoint.name) or _place_of(endpoint)
            for namespace in await namespaces_of(kube, endpoint.name, known):
                await self._destroy(kube, endpoint.name, namespace)
        progress("left", f"{endpoint.name} is gone")

    async def _destroy(self, kube: Kube, name: str, namespace: str) -> None:
        """With the namespace, where that is the endpoint's own; else by labels."""
        space = await kube.get_if_allowed("Namespace", "", namespace)
        is_own = space is not None and is_ours(space, name)
        left = [("Namespace", namespace)] if is_own else await left_behind(kube, name, namespace, ())
        await remove(kube, left, namespace, self._wait(DELETE_S), "left")

    async def get_metrics(self, endpoint: Endpoint) -> InferenceMetrics:
        """Figures of all ready pods, summed, each asked through the API server."""
        async with self._cluster(self._options(endpoint.name)) as kube:
            workload = await self._look(kube, endpoint.name, _place_of(endpoint))
            if workload is None:
                raise NotReady(f"{endpoint.name} is not in {kube.access.called}", why="It is gone.", fix="Deploy it.")
            selector = engine_selector(endpoint.name)
            pods = [
                pod for pod in await kube.items("Pod", workload["metadata"]["namespace"], selector) if is_ready(pod)
            ]
            if not pods:
                raise NotReady(f"no pod of {endpoint.name} is ready", fix="`takeover status` says why.")
            pages = [await kube.page(pod, names.METRICS_PORT, "metrics") for pod in pods]
        return parse_vllm_metrics(*pages, names=SGLANG if is_sglang(workload) else VLLM)

    async def inference(self, endpoint: Endpoint, prompt: str, **options: Any) -> str:
        request = build_chat(_server(endpoint), endpoint.models[0] if endpoint.models else "", prompt, options)
        return parse_chat(json_of(await send(request), request))


def _place_of(endpoint: Endpoint) -> str | None:
    """The namespace that an endpoint's id tells."""
    namespace, _, name = endpoint.id.partition("/")
    return namespace if name else None


async def _ask(endpoint: Endpoint) -> None:
    """One question to each adapter, where the address leads somewhere from here."""
    if endpoint.replicas_ready == 0:
        progress("ask", f"{endpoint.name} is at 0 replicas: nobody is asked")
        return
    progress("ask", f"asking {endpoint.name}")
    for model in endpoint.models:
        request = build_question(_server(endpoint), model)
        try:
            parse_completion(json_of(await send(request), request))
        except Unreachable:
            progress("ask", f"{endpoint.url} leads nowhere from here; its pods are ready, so they have loaded it")
            return


async def _what_is_wrong(kube: Kube, workload: Object) -> str:
    """Why the newest version is not out and ready; "" when it is."""
    state = rollout_of(workload)
    if state.is_done or state.settles:
        return ""
    reasons = await troubles(kube, workload, workload["metadata"]["namespace"])
    return "; ".join([state.failed or state.sentence, *(f"pod {each.pod}: {each.sentence}" for each in reasons[:2])])


def _server(endpoint: Endpoint) -> Server:
    root = endpoint.url.removesuffix("/v1")
    return Server(root, endpoint.api_key, f"the endpoint {endpoint.name} at {root}")
