"""How many pods: asked of whoever decides it, a ScaledObject of KEDA's, an autoscaler, or the Deployment itself."""

from __future__ import annotations

from takeover.errors import Refused
from takeover.providers._kube_api import Kube, Object, path_of
from takeover.providers._kube_place import ours
from takeover.providers._progress import progress

__all__ = ["scale_to"]


async def scale_to(kube: Kube, deployment: Object, replicas: int) -> None:
    """Ask for `replicas`: a lower bound where something scales by load, the number itself where nothing does."""
    name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
    for kind, least, most in (
        ("ScaledObject", "minReplicaCount", "maxReplicaCount"),
        ("HorizontalPodAutoscaler", "minReplicas", "maxReplicas"),
    ):
        for scaler in await kube.items(kind, namespace, ours(name)):
            if scaler["spec"].get("scaleTargetRef", {}).get("name") != name:
                continue
            _require_room(kind, scaler, most, replicas)
            path = path_of(kind, namespace, scaler["metadata"]["name"])
            await kube.merge(path, f"{kind} {scaler['metadata']['name']}", {"spec": {least: replicas}})
            progress("scale", f"{kind} {scaler['metadata']['name']} keeps {replicas} or more from now on")
            return
    path = path_of(str(deployment["kind"]), namespace, name, after="scale")
    await kube.merge(path, f"the scale of {name}", {"spec": {"replicas": replicas}})
    progress("scale", f"{name} is asked for {replicas} replicas")


def _require_room(kind: str, scaler: Object, most: str, replicas: int) -> None:
    largest = scaler["spec"].get(most)
    if largest is not None and replicas > largest:
        raise Refused(
            f"{replicas} replicas are more than the {kind} {scaler['metadata']['name']} allows ({largest})",
            fix="Raise takeover:hosting.maxReplicas and deploy.",
            where="replicas",
        )
    if replicas == 0 and kind != "ScaledObject":
        raise Refused(
            f"a {kind} cannot go down to 0",
            why="It needs a pod that tells its load.",
            fix="Use takeover:kubernetes.scaler: keda.",
            where="replicas",
        )
