"""`takeover orphans`: what exists on a tier under our label, while no state and no outputs file names it.

What is "known" is what this machine knows: the states of its backend, and what `takeover deploy` noted in its home. In
an account that a team shares, an endpoint of somebody else's state is listed too; its labels say whose it is.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from takeover.engine import _desk
from takeover.engine.project import open_project
from takeover.engine.running import endpoint_inputs
from takeover.engine.state import NotUp, pending_creates, read_state, states_of
from takeover.errors import Refused, TakeoverError, VendorError
from takeover.home import home_dir
from takeover.providers import provider_for
from takeover.providers._base import Endpoint

__all__ = ["LISTINGS", "Orphan", "Unseen", "look", "remove"]

_MODAL_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Orphan:
    """An endpoint that nobody here would take down. `provider` is a `Tier.row`."""

    provider: str
    name: str
    why: str
    fix: str


@dataclass(frozen=True)
class Unseen:
    """A tier that could not be looked at, and why."""

    provider: str
    why: str


def look() -> tuple[list[Orphan], list[Unseen]]:
    """Everything left over, tier by tier, and the tiers that could not be asked."""
    known = set(_names_in_states())
    entries = {entry.name: entry for entry in _desk.noted_all()}
    found, unseen = [], []
    for provider, listing in LISTINGS.items():
        try:
            names = sorted(set(listing()) - known)
        except TakeoverError as error:
            unseen.append(Unseen(provider, error.happened))
            continue
        found += [orphan for name in names if (orphan := _orphan(provider, name, entries.get(name))) is not None]
    return found, unseen


def _orphan(provider: str, name: str, entry: _desk.Noted | None) -> Orphan | None:
    """Pure but for a look whether the outputs file is there."""
    if entry is None:
        why = "No state and no outputs file that this machine knows names it."
        return Orphan(provider, name, why, f"takeover orphans --remove {name}")
    if Path(entry.outputs).exists():
        return None
    why = f"`takeover deploy` made it; its outputs, {entry.outputs}, are gone or were never written."
    return Orphan(provider, name, why, f"takeover destroy --outputs {entry.outputs}")


def remove(name: str, found: Sequence[Orphan]) -> None:
    """Destroy one of what `look` found; Refused for anything else."""
    orphan = next((each for each in found if each.name == name), None)
    if orphan is None:
        raise Refused(f"{name} is no orphan", fix="`takeover orphans` lists them; a stack goes by `takeover destroy`.")
    name_of_tier, _, cluster = orphan.provider.partition("/")
    provider = provider_for(name_of_tier, cluster or None)

    async def destroy() -> None:
        # A half-made one may not be found, and is still to be removed.
        nothing = Endpoint(id=name, name=name, provider=name_of_tier, url="", models=())
        await provider.destroy(await provider.find(name) or nothing)

    asyncio.run(destroy())
    _desk.forget(name)


def _names_in_states() -> Iterator[str]:
    """The endpoints that any stack of this backend has, or had begun to make."""
    project = open_project()
    try:
        stacks = states_of(project)
    except NotUp:
        return
    for stack in stacks:
        state = read_state(project, stack)
        for inputs in (*endpoint_inputs(state), *(pending.inputs for pending in pending_creates(state))):
            if name := (inputs.get("spec") or {}).get("name"):
                yield str(name)


def _local() -> Iterator[str]:
    yield from (path.name for path in home_dir().glob("endpoints/*") if path.is_dir())


def _vllm() -> Iterator[str]:
    """By the records in the home: the servers themselves keep no label."""
    yield from (path.stem for path in home_dir().glob("dedicated-vllm/endpoints/*.json"))


def _modal() -> Iterator[str]:
    """By the tags of what is deployed in this workspace; reading them wakes nothing."""
    from takeover.providers._modal_credentials import require_credentials

    require_credentials(os.environ)
    if find_spec("modal") is None:
        raise Refused("there is a token for Modal, but its client is not installed", fix="uv sync --group clouds")
    import modal

    from takeover.providers._modal_record import decode
    from takeover.providers._modal_sdk import asking

    names = _modal_apps()
    with asking("reading the labels of the apps on Modal") as client:
        yield from (name for name in names if decode(modal.App.lookup(name, client=client).get_tags()) is not None)


def _modal_apps() -> list[str]:
    """`modal app list`, by the real command; its JSON has the name under `description` (modal 1.6.4)."""
    from takeover.providers._modal_errors import error_of_output

    command = [sys.executable, "-m", "modal", "app", "list", "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_MODAL_PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise VendorError("Modal did not list its apps", why=f"No answer in {_MODAL_PATIENCE_S:g} s.") from None
    if done.returncode != 0:
        raise error_of_output(done.stderr, done.stdout, name="the list of apps")
    rows: list[dict[str, str]] = json.loads(done.stdout)
    return [row["description"] for row in rows if row["state"] == "deployed"]


def _kubernetes() -> Iterator[str]:
    """By the labels of what runs on the cluster of the kubeconfig's context, EKS or not."""
    from takeover.providers._kube_api import opened

    async def ask() -> list[str]:
        async with opened(None, None) as kube:
            kinds = ("Deployment", "LeaderWorkerSet")
            label = "app.kubernetes.io/managed-by=takeover,app.kubernetes.io/component=engine"
            found = [each for kind in kinds for each in await kube.items(kind, "", label)]
        return [each["metadata"]["name"] for each in found]

    yield from asyncio.run(ask())


def _sagemaker() -> Iterator[str]:
    """By the tags of the endpoints of one account and region."""
    from takeover.providers._sagemaker_api import Api
    from takeover.providers._sagemaker_place import region_of

    api = Api(region_of({}))

    async def ask() -> list[str]:
        names = []
        for endpoint in await api.all_pages("sagemaker", "list_endpoints", "Endpoints"):
            tags = await api.all_pages("sagemaker", "list_tags", "Tags", ResourceArn=endpoint["EndpointArn"])
            if {"Key": "takeover:managed-by", "Value": "takeover"} in tags:
                names.append(endpoint["EndpointName"])
        return names

    yield from asyncio.run(ask())


# By `Tier.row`; pods on EKS are found as those on any cluster are.
LISTINGS: Mapping[str, Callable[[], Iterator[str]]] = {
    "local": _local,
    "modal": _modal,
    "dedicated-vllm/existing": _vllm,
    "dedicated-vllm/kubernetes": _kubernetes,
    "sagemaker": _sagemaker,
}
