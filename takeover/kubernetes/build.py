"""Every manifest of an endpoint, in the order in which they are applied. Pure."""

from __future__ import annotations

from takeover.kubernetes._dashboard import dashboard
from takeover.kubernetes._fetch import fetch_config_map
from takeover.kubernetes._gate import gate_config_map
from takeover.kubernetes._monitoring import picker_monitor, pod_monitor, rules
from takeover.kubernetes._network import ingress, network_policy, service, url
from takeover.kubernetes._object import Manifest
from takeover.kubernetes._probes import start_limit_s
from takeover.kubernetes._routing import routing
from takeover.kubernetes._scaling import scaler
from takeover.kubernetes._secrets import external_secrets
from takeover.kubernetes._workload import disruption_budget, namespace, service_account, workload, workload_kind
from takeover.kubernetes.serving import Serving

__all__ = ["Manifest", "manifests", "start_limit_s", "url", "workload_kind"]


def manifests(serving: Serving) -> list[Manifest]:
    """Namespace, identity, walls, secrets, configuration, pods, what guards them, ways in, scaling, watching.

    The NetworkPolicy is there before the pods are. No Secret is among them: `api_key` is brought by External Secrets,
    by somebody else, or by whoever applies these.
    """
    fetch, gate = fetch_config_map(serving), gate_config_map(serving)
    found: list[Manifest | None] = [
        namespace(serving) if serving.owns_namespace else None,
        service_account(serving),
        network_policy(serving),
        *external_secrets(serving),
        fetch,
        gate,
        service(serving),
        disruption_budget(serving),
        workload(serving, fetch, gate),
        *routing(serving),
        ingress(serving),
        scaler(serving),
        *(_watching(serving) if serving.options.monitoring == "prometheus-operator" else []),
    ]
    return [each for each in found if each is not None]


def _watching(serving: Serving) -> list[Manifest]:
    routed = serving.options.routing == "inference-extension"
    return [
        pod_monitor(serving),
        *([picker_monitor(serving)] if routed else []),
        rules(serving),
        dashboard(serving),
    ]
