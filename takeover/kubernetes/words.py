"""An endpoint on a cluster in words, for the preview: where it runs, what it needs there, what a change means. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from takeover.kubernetes._probes import start_limit_s
from takeover.kubernetes.serving import Serving

__all__ = ["change", "needs", "role_of", "sentences"]


def sentences(serving: Serving, *, cluster: str) -> Iterator[str]:
    """One line each."""
    options, name = serving.options, serving.name
    gpus = f"{options.gpus} x {options.gpu}" + (f" on each of {options.nodes} nodes" if options.nodes > 1 else "")
    count = f"{serving.min_replicas} to {serving.max_replicas}" if serving.is_scaled else str(serving.min_replicas)
    own = "a namespace of its own" if serving.owns_namespace else f"the namespace {serving.namespace}"
    replicas = "replica" if count == "1" else "replicas"
    yield f"{name}: {count} {replicas} of {gpus} ({options.engine}) in {own} of {cluster}"
    yield f"{name}: {change(serving)}"
    missing = ", ".join(needs(serving))
    if missing:
        yield f"{name}: the cluster must have {missing}"
    yield f"{name}: its NetworkPolicy holds only where the cluster's network enforces policies"


def change(serving: Serving) -> str:
    """How a change of adapter goes, and for how long requests may fail."""
    minutes = -(-start_limit_s(serving) // 60)
    names = [model.name for model in serving.models]
    if len({*names}) < len(names):
        kept = "every pod answers for the version before too"
    else:
        kept = (
            "callers of the version before get 404 from pods that have the new one, unless takeover:previous names it "
            "(`takeover adapter use` writes it down)"
        )
    if serving.options.spare_gpu:
        how = "a change starts each new pod beside the old one, on a GPU that must be free, and no request fails"
    elif serving.min_replicas <= 1:
        how = (
            f"a change ends the only pod before its successor starts: nobody answers meanwhile, {minutes} minutes at "
            "most if it starts at all (spareGpu: true starts it beside the old one)"
        )
    else:
        how = (
            f"a change replaces one of {serving.min_replicas} pods after the other, {minutes} minutes each at most; "
            "the others answer meanwhile"
        )
    return f"{how}; {kept}"


def needs(serving: Serving) -> Iterator[str]:
    """What must be installed on the cluster, by the name under which people know it."""
    options = serving.options
    if serving.is_scaled and options.scaler == "keda":
        yield "KEDA and the Prometheus that takeover:kubernetes.prometheus names"
    if serving.is_scaled and options.scaler == "hpa":
        yield "prometheus-adapter with the engine's metrics"
    if options.monitoring == "prometheus-operator":
        yield "the Prometheus operator"
    if options.external_secret is not None:
        yield "External Secrets"
    if options.routing == "inference-extension":
        yield "a Gateway with the inference extension"
    if options.nodes > 1:
        yield "LeaderWorkerSet"
    yield f"nodes with {options.gpu_resource} ({options.gpu})"


def role_of(manifest: dict[str, object], name: str) -> str:
    """A short name of an object that stays the same when its content changes: `configmap-gate`, `deployment`."""
    metadata = manifest["metadata"]
    assert isinstance(metadata, dict)
    rest = str(metadata["name"]).removeprefix(name).strip("-")
    if manifest.get("immutable") is True:
        rest = rest.rpartition("-")[0]
    kind = str(manifest["kind"]).lower()
    return f"{kind}-{rest}" if rest and kind != "namespace" else kind
