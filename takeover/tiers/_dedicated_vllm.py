"""The records of the tier `dedicated-vllm`: one for each kind of cluster that is built."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from takeover.tiers._record import ColdStartRange, Feature, Kind, No, Tier, Yes

_NOT_BUILT = "kubernetes, eks, or existing with the address of servers that run there in VLLM_CLUSTER_URL"
_EXISTING = Tier(
    name="dedicated-vllm",
    cluster="existing",
    kind=Kind.DEDICATED_GPU,
    summary="vLLM servers of your own, which take the adapter at run time",
    provider="takeover.providers.dedicated_vllm:VLLMProvider",
    component="components.dedicated_vllm:DedicatedVllm",
    environment_variables=("VLLM_CLUSTER_URL", "VLLM_API_KEY", "VLLM_ADMIN_API_KEY"),
    environments=("development", "staging", "production"),
    cold_start=ColdStartRange(
        low_ms=100,
        high_ms=5_000,
        source="load and first question on a running vLLM 0.32 for CPUs (tests/dedicated_vllm/test_real_vllm.py)",
        date="2026-11-24",
    ),
    autoscaling_signal="none: the servers are scaled by whoever runs them",
    largest_rank=512,
    supports=MappingProxyType(
        {
            Feature.MANY_ADAPTERS: Yes("as many in one batch as the server's --max-loras"),
            Feature.RUNTIME_SWAP: Yes("the new version is loaded beside the old one, on every replica"),
            Feature.SCALE_TO_ZERO: No("takeover neither starts nor stops servers that somebody else runs", "modal"),
            Feature.REPLICAS: Yes("those that run; takeover:dedicated-vllm says how they are reached"),
            Feature.STREAMING: Yes(),
            Feature.LOGPROBS: Yes(),
            Feature.REGIONS: No("the servers are where they are", "a tier in a cloud"),
            Feature.WARM: Yes("while its servers run"),
            Feature.UNLIMITED_RATE: Yes("only that of your own gateway"),
            Feature.METRICS: Yes("Prometheus, summed over the replicas"),
        }
    ),
    clusters=MappingProxyType(
        {
            "existing": Yes("servers that run already"),
            "kubernetes": Yes("pods of vLLM on any cluster, by kubeconfig"),
            "eks": Yes("the same on an EKS cluster with GPU nodes, which is made too or shared"),
            **{
                name: No(f"a cluster of the kind {name} is not built yet", _NOT_BUILT)
                for name in ("runpod", "lambda", "vast")
            },
        }
    ),
    engines=MappingProxyType(
        {
            "vllm": Yes(),
            "sglang": Yes("callers ask for lora:NAME; another name is answered by the plain base"),
            # github.com/huggingface/text-generation-inference: maintenance since 2025-12-11, archived 2026-03-21.
            "tgi": No("TGI was archived on 2026-03-21 and loads no adapter at run time", "vllm, or sglang"),
        }
    ),
)

_STATIC = "an adapter is loaded when a pod starts, so that ready means loaded"
_KUBERNETES = replace(
    _EXISTING,
    cluster="kubernetes",
    summary="vLLM pods on a Kubernetes cluster of yours, one rollout for each version of the adapter",
    provider="takeover.providers.kubernetes:KubernetesProvider",
    component="components.kubernetes:KubernetesVllm",
    environment_variables=("KUBECONFIG", "TAKEOVER_API_KEY"),
    cold_start=ColdStartRange(
        low_ms=60_000,
        high_ms=600_000,
        source="what start-up probes of KServe and vLLM's production-stack allow; not measured here",
        date="2026-11-24",
    ),
    keeps_previous=False,
    autoscaling_signal="requests waiting and the KV cache's use, summed over the pods, by KEDA; or an HPA",
    supports=MappingProxyType(
        {
            **_EXISTING.supports,
            Feature.MANY_ADAPTERS: Yes("all loaded from the start; adding one is a rollout"),
            Feature.RUNTIME_SWAP: No(_STATIC, "a rollout: the version before answers until the new one is ready"),
            Feature.SCALE_TO_ZERO: Yes("by KEDA, woken by the router's queue: no pod of vLLM tells of one"),
            Feature.REPLICAS: Yes("pods, one or more GPUs each"),
            Feature.REGIONS: No("the cluster is where it is", "eks, or another cluster"),
            Feature.WARM: Yes("with minReplicas above 0"),
            Feature.METRICS: Yes("Prometheus, summed over the pods"),
        }
    ),
)
_EKS = replace(
    _KUBERNETES,
    cluster="eks",
    summary="vLLM pods on GPU nodes of EKS; network, cluster and nodes are made too, or shared between stacks",
    component="components.eks:EksVllm",
    environment_variables=("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "TAKEOVER_API_KEY"),
    cold_start=ColdStartRange(
        low_ms=180_000,
        high_ms=900_000,
        source="a node, the image (10 GB) and the weights, one after the other; not measured here",
        date="2026-11-24",
    ),
    supports=MappingProxyType(
        {**_KUBERNETES.supports, Feature.REGIONS: Yes("one for each stack: takeover:eks.region")}
    ),
)
DEDICATED_VLLM = replace(_EXISTING, variants=MappingProxyType({"kubernetes": _KUBERNETES, "eks": _EKS}))
