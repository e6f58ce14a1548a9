"""What must be in a cluster before an endpoint's pods are: KEDA, Prometheus and the like. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from takeover.errors import Refused
from takeover.settings._eks import ChartName, EksOptions
from takeover.settings._eks_network import wrong
from takeover.settings._kubernetes import KubernetesOptions
from takeover.settings._models import Hosting
from takeover.settings._raw import WrongSetting, join

__all__ = ["chart_mistakes", "needed_charts", "unfit"]

_ELSEWHERE = "make the cluster by a stack of its own (role: cluster), install there what is wanted, and name it here"


def needed_charts(pods: KubernetesOptions, *, least: int, most: int) -> tuple[ChartName, ...]:
    """The charts whose kinds of objects `least` to `most` replicas are made of."""
    scaled = least != most and pods.scaler == "keda"
    watched = scaled or pods.monitoring == "prometheus-operator"
    found: tuple[tuple[ChartName, bool], ...] = (("keda", scaled), ("kube-prometheus-stack", watched))
    return tuple(name for name, is_needed in found if is_needed)


def chart_mistakes(options: EksOptions, hosting: Hosting, pods: KubernetesOptions) -> Iterator[Refused]:
    """A cluster made in the same run has only what the stack puts into it; its API would refuse the rest at the end."""
    needed = needed_charts(pods, least=hosting.min_replicas, most=hosting.max_replicas)
    missing = [name for name in needed if options.install is not None and name not in options.install]
    for name in missing:
        key = "scaler" if name == "keda" else "monitoring" if pods.monitoring != "none" else "scaler"
        yield wrong(
            "install",
            f"lacks {name}, which {join('kubernetes', key)} needs.",
            why="The cluster is made in the same run: nobody else can have put it there.",
            fix=f"Add it, or leave install out. Or {_ELSEWHERE}.",
        )
    others = {
        "LeaderWorkerSet": (pods.nodes > 1, "nodes", str(pods.nodes)),
        "External Secrets": (pods.external_secret is not None, "externalSecret", "set"),
        "a Gateway": (pods.routing == "inference-extension", "routing", pods.routing),
    }
    for what, (is_wanted, key, value) in others.items():
        if is_wanted:
            said = f"is {value}, but the cluster is made in the same run, without {what} in it."
            yield unfit(key, said, f"{_ELSEWHERE.capitalize()}.")


def unfit(key: str, said: str, fix: str) -> Refused:
    """A key of `takeover:kubernetes` that does not go with this cluster."""
    where = join("kubernetes", key)
    return WrongSetting(f"{where} {said}", fix=fix, where=where)
