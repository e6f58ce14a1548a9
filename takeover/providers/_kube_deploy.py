"""A deploy's steps: apply everything, wait for the roll-out, remove what only the version before had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from takeover.errors import NotReady, Refusals, Refused, TakeoverError, VendorError
from takeover.providers._kube_api import KINDS, Kube, Object
from takeover.providers._kube_errors import Denied
from takeover.providers._kube_place import engine_selector, is_ours, ours
from takeover.providers._kube_rollout import Trouble, rollout_of, troubles_of
from takeover.providers._kube_seen import template_of
from takeover.providers._kube_wait import Wait
from takeover.providers._progress import progress

__all__ = ["apply_all", "await_rollout", "left_behind", "remove", "troubles"]

# Kinds that every cluster has; a list of another one may be forbidden just because nobody may see it.
_GROUPS = ("", "apps", "autoscaling", "policy", "networking.k8s.io", "rbac.authorization.k8s.io")
_CORE = frozenset(kind for kind, (version, _) in KINDS.items() if version.rpartition("/")[0] in _GROUPS)
_ROLLED = ("Deployment", "LeaderWorkerSet")
_LONGEST_PAUSE_S = 2.0


async def apply_all(kube: Kube, manifests: Sequence[Object], name: str, namespace: str) -> None:
    """Every manifest in its order. What the cluster refuses of any is told before one of them is changed."""
    Refusals.raise_if_any(f"{name} cannot be deployed", await _foreign(kube, manifests, name, namespace))
    await _try_all(kube, manifests, name, namespace)
    for manifest in manifests:
        progress("apply", f"{manifest['kind']} {manifest['metadata']['name']}")
        await kube.apply(manifest, _place_of(manifest, namespace))


def _place_of(manifest: Object, namespace: str) -> str:
    return str(manifest["metadata"].get("namespace", namespace))


async def _try_all(kube: Kube, manifests: Sequence[Object], name: str, namespace: str) -> None:
    """A dry run of each: schema, admission, quota and RBAC as the server has them now. All that is wrong, at once."""
    refusals: list[Refused] = []
    denied: list[Denied] = []
    for manifest in manifests:
        try:
            await kube.apply(manifest, _place_of(manifest, namespace), dry_run=True)
        except Refused as error:
            refusals.append(error)
        except Denied as error:
            denied.append(error)
    if denied:
        first, others = denied[0], [error.happened for error in denied[1:]]
        raise Denied(first.happened, why="\n  ".join([first.why, *others]), fix=first.fix, where=first.where)
    Refusals.raise_if_any(f"{name} cannot be deployed", refusals)


async def _foreign(kube: Kube, manifests: Sequence[Object], name: str, namespace: str) -> list[Refused]:
    """Objects of those names that another hand has made."""
    refusals = []
    for manifest in manifests:
        kind, called = str(manifest["kind"]), str(manifest["metadata"]["name"])
        found = await kube.get_if_allowed(kind, _place_of(manifest, namespace), called)
        if found is None or is_ours(found, name):
            continue
        refusals.append(
            Refused(
                f"{kind} {called} exists in {namespace} and was not made for {name}",
                why="Taking it over would change what somebody else runs.",
                fix="Remove or rename it, or let this endpoint have another namespace.",
                where="takeover:kubernetes.namespace",
            )
        )
    return refusals


async def await_rollout(kube: Kube, manifests: Sequence[Object], namespace: str, wait: Wait) -> None:
    """Wait until every Deployment's pods are of this version and ready.

    NotReady or VendorError with the reason where it does not come to that: the version before goes on answering.
    """
    for manifest in (each for each in manifests if each["kind"] in _ROLLED):
        await _await_one(kube, str(manifest["kind"]), str(manifest["metadata"]["name"]), namespace, wait)


async def _await_one(kube: Kube, kind: str, name: str, namespace: str, wait: Wait) -> None:
    until, pause, said = wait.clock() + wait.limit_s, 0.05, ""
    while True:
        found = await kube.get(kind, namespace, name)
        if found is None:
            raise VendorError(f"{kind} {name} was removed by somebody else while it was rolled out")
        state = rollout_of(found)
        if state.is_done:
            progress("rollout", state.sentence)
            return
        reasons = await troubles(kube, found, namespace)
        sentence = f"{state.sentence}; {_words(reasons[0])}" if reasons else state.sentence
        if sentence != said:
            progress("rollout", said := sentence)
        is_over = bool(state.failed) or any(each.is_hopeless for each in reasons)
        if is_over or wait.clock() > until:
            raise await _failure(kube, name, namespace, state.failed, reasons, wait.limit_s if not is_over else 0)
        await wait.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)


async def troubles(kube: Kube, deployment: Object, namespace: str) -> tuple[Trouble, ...]:
    """What keeps the newest version's pods from being ready, the worst first; none where pods are not ours to see."""
    template = template_of(deployment)["metadata"]
    try:
        pods = await kube.items("Pod", namespace, engine_selector(deployment["metadata"]["name"]))
    except Denied:
        return ()
    return troubles_of([pod for pod in pods if _is_of(pod, template)])


def _is_of(pod: Mapping[str, Any], template: Mapping[str, Any]) -> bool:
    """Whether a pod was made from this template: it bears all of its labels and annotations."""
    return all(
        ((pod["metadata"].get(part) or {}).get(name) == value)
        for part in ("labels", "annotations")
        for name, value in (template.get(part) or {}).items()
    )


async def _failure(
    kube: Kube, name: str, namespace: str, failed: str, reasons: Sequence[Trouble], limit_s: float
) -> TakeoverError:
    """The error with the reason and, where a container ended, with its last words."""
    worst = reasons[0] if reasons else None
    words = await _last_words(kube, namespace, worst) if worst and worst.container else ""
    parts = [_words(worst) if worst else "", f"Its last words: {words}" if words else "", failed if not worst else ""]
    why = " ".join(part for part in parts if part) or "Nothing says why."
    fix = f"The version before goes on. Look at: kubectl -n {namespace} describe deployment,pod -l {ours_hint(name)}"
    if limit_s:
        return NotReady(f"{name} is not ready after {limit_s:g} s", why=why, fix=fix)
    return VendorError(f"{name} does not become ready", why=why, fix=fix)


def ours_hint(name: str) -> str:
    return f"app.kubernetes.io/instance={name}"


def _words(trouble: Trouble) -> str:
    return f"pod {trouble.pod}: {trouble.sentence}"


async def _last_words(kube: Kube, namespace: str, trouble: Trouble) -> str:
    """The last line of the container's log, of its run before where this one says nothing yet; "" without the right."""
    path = f"/api/v1/namespaces/{namespace}/pods/{trouble.pod}/log"
    for previous in ("false", "true") if not trouble.has_run_before else ("true", "false"):
        query = {"container": trouble.container, "tailLines": "5", "previous": previous}
        response, _ = await kube.send("GET", path, query=query)
        lines = [line.strip() for line in response.text.splitlines() if line.strip()] if response.status == 200 else []
        if lines:
            return lines[-1][:400]
    return ""


async def left_behind(kube: Kube, name: str, namespace: str, kept: Sequence[Object]) -> list[tuple[str, str]]:
    """Kind and name of all that is labelled as this endpoint's and is not among `kept`; what goes first, first.

    A kind that is not installed has none; one that may not be listed is passed over with a word, if it is no core kind.
    """
    wanted = {(str(each["kind"]), str(each["metadata"]["name"])) for each in kept}
    found = []
    for kind in [kind for kind in reversed(await kube.kinds()) if kind != "Namespace"]:
        try:
            items = await kube.items(kind, namespace, ours(name))
        except Denied as error:
            if kind in _CORE:
                raise
            progress("prune", f"{error.happened}: objects of that kind are not looked for")
            continue
        found += [
            (kind, str(each["metadata"]["name"])) for each in items if not each["metadata"].get("ownerReferences")
        ]
    return [each for each in found if each not in wanted]


async def remove(kube: Kube, left: Sequence[tuple[str, str]], namespace: str, wait: Wait, step: str) -> None:
    """Delete, and wait until all of it is gone. NotReady where something stays (a finalizer that nobody serves)."""
    for kind, name in left:
        progress(step, f"removing {kind} {name}")
        await kube.delete(kind, namespace, name)
    until, pause, staying = wait.clock() + wait.limit_s, 0.05, list(left)
    while staying := [each for each in staying if await kube.get(each[0], namespace, each[1]) is not None]:
        if wait.clock() > until:
            kind, name = staying[0]
            raise NotReady(
                f"{kind} {name} is still there after {wait.limit_s:g} s",
                why="It has a finalizer that nobody has served, or its pods take their time to drain.",
                fix=f"Look at: kubectl -n {namespace} get {kind.lower()} {name} -o yaml",
            )
        await wait.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)
