"""Who reaches the pods, and what they reach."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from takeover.kubernetes import names
from takeover.kubernetes._object import Manifest, manifest, without_empty
from takeover.kubernetes._pod import all_pods
from takeover.kubernetes.serving import Serving

__all__ = ["ingress", "network_policy", "service", "url"]

# Every address of cloud metadata, which hand out the node's credentials.
_METADATA = "169.254.0.0/16"
_EVERYWHERE = "0.0.0.0/0"


def service(serving: Serving) -> Manifest:
    """Before the gates of the pods that are ready. By number: not every controller looks for names at sidecars."""
    spec = {
        "type": "ClusterIP",
        "selector": names.selector(serving.name),
        "ports": [
            {
                "name": "http",
                "port": names.GATE_PORT,
                "targetPort": names.GATE_PORT,
                "protocol": "TCP",
                "appProtocol": "http",
            }
        ],
    }
    annotations = serving.platform.service_annotations
    return manifest(serving, "v1", "Service", names.service(serving.name), annotations=annotations, spec=spec)


def url(serving: Serving) -> str:
    """Where callers find it: the host outside, else the Service's name inside of the cluster."""
    own, platform = serving.options.ingress, serving.platform
    host = own.host if own is not None else platform.hostname if platform.ingress_class is not None else None
    if host is not None:
        return f"https://{host}/v1"
    return f"http://{names.service(serving.name)}.{serving.namespace}.svc.cluster.local:{names.GATE_PORT}/v1"


def network_policy(serving: Serving) -> Manifest:
    """All that is not listed is refused, both ways. It holds only where the cluster's network enforces policies."""
    spec = {
        "podSelector": {"matchLabels": all_pods(serving)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [*_callers(serving), _scrapers(serving), *_siblings(serving, "from")],
        "egress": [_dns(), *_out(serving), *_siblings(serving, "to")],
    }
    api = "networking.k8s.io/v1"
    return manifest(serving, api, "NetworkPolicy", names.workload(serving.name), spec=spec)


def _ports(*ports: int) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def _callers(serving: Serving) -> list[dict[str, Any]]:
    """Whoever may call; everybody who reaches the cluster's network and has the key, unless the stack names some."""
    options = serving.options
    peers = [_peer(text) for text in (*options.callers, *serving.platform.ingress_cidrs)]
    if options.gateway is not None:
        pool = [_namespace(options.gateway.namespace), {"podSelector": {"matchLabels": _picker(serving)}}]
        return [{"from": pool, "ports": _ports(names.POOL_PORT)}] + (
            [{"from": peers, "ports": _ports(names.GATE_PORT)}] if peers else []
        )
    return [without_empty({"from": peers}) | {"ports": _ports(names.GATE_PORT)}]


def _picker(serving: Serving) -> dict[str, str]:
    return names.selector(serving.name, names.PICKER)


def _peer(text: str) -> dict[str, Any]:
    return {"ipBlock": {"cidr": text}} if "/" in text else _namespace(text)


def _namespace(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _scrapers(serving: Serving) -> dict[str, Any]:
    return {"from": [_namespace(serving.options.monitoring_namespace)], "ports": _ports(names.METRICS_PORT)}


def _siblings(serving: Serving, direction: str) -> list[dict[str, Any]]:
    """The nodes of a replica talk to each other at ports that they agree on."""
    if serving.options.nodes == 1:
        return []
    return [{direction: [{"podSelector": {"matchLabels": all_pods(serving)}}]}]


def _dns() -> dict[str, Any]:
    """Wherever it is: CoreDNS, or the cache on the node's link-local address."""
    return {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}


def _out(serving: Serving) -> list[dict[str, Any]]:
    """HTTPS for base and adapters, never the node's metadata; a mirror of the Hub may be at another port."""
    options = serving.options
    mirror = urlsplit(options.hub_endpoint or "https://hub")
    ports = sorted({443, mirror.port or (443 if mirror.scheme == "https" else 80)})
    networks = options.egress_cidrs or (_EVERYWHERE,)
    blocks = [{"cidr": each, "except": [_METADATA]} if each == _EVERYWHERE else {"cidr": each} for each in networks]
    rules = [{"to": [{"ipBlock": block} for block in blocks], "ports": _ports(*ports)}]
    more = ({"to": [{"ipBlock": {"cidr": cidr}}], "ports": _ports(port)} for cidr, port in serving.platform.egress)
    return [*rules, *more]


def ingress(serving: Serving) -> Manifest | None:
    """The way in from outside, over TLS only; answers are streamed and may take their time."""
    own, platform = serving.options.ingress, serving.platform
    if own is None and (platform.hostname is None or platform.ingress_class is None):
        return None
    host = own.host if own is not None else str(platform.hostname)
    backend = {"service": {"name": names.service(serving.name), "port": {"name": "http"}}}
    secret = {"secretName": own.tls_secret} if own is not None and own.tls_secret is not None else {}
    spec = {
        "ingressClassName": own.class_name if own is not None else platform.ingress_class,
        "tls": [{"hosts": [host], **secret}],
        "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
    }
    annotations = {**_nginx_annotations(serving), **platform.ingress_annotations, **(own.annotations if own else {})}
    return manifest(
        serving,
        "networking.k8s.io/v1",
        "Ingress",
        names.workload(serving.name),
        annotations=annotations,
        spec=spec,
    )


def _nginx_annotations(serving: Serving) -> dict[str, str]:
    """ingress-nginx buffers answers and cuts them after a minute, unless it is told otherwise."""
    own = serving.options.ingress
    if own is None or "nginx" not in own.class_name:
        return {}
    prefix, limit = "nginx.ingress.kubernetes.io", str(serving.options.request_timeout_seconds)
    return {
        f"{prefix}/force-ssl-redirect": "true",
        f"{prefix}/proxy-body-size": "8m",
        f"{prefix}/proxy-buffering": "off",
        f"{prefix}/proxy-next-upstream": "off",
        f"{prefix}/proxy-read-timeout": limit,
        f"{prefix}/proxy-send-timeout": limit,
    }
