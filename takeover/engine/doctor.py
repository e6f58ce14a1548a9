"""`takeover doctor`: what a machine needs before anything can be deployed, one check after the other, literal data.

A check reads: it makes nothing, changes nothing, and each has a time of its own. What it says holds no secret.
"""

from __future__ import annotations

import asyncio
import os
import queue
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from takeover.engine import _cloud_checks as clouds
from takeover.errors import TakeoverError
from takeover.home import home_dir, project_root
from takeover.tiers import Tier, tier

if TYPE_CHECKING:
    from takeover.settings import Settings

__all__ = ["CHECKS", "Case", "Check", "Finding", "examine", "tier_of_stack"]

Level = Literal["good", "note", "problem"]
_GB = 10**9


@dataclass(frozen=True)
class Case:
    """Whom to examine: a stack with its tier and what it says, or without them the machine, by its variables."""

    stack: str | None = None
    tier: Tier | None = None
    settings: Settings | None = None

    def needs(self, row: str) -> bool:
        return self.tier is not None and self.tier.row == row


@dataclass(frozen=True)
class Finding:
    """What one check saw. `fix` is what to do about it, empty where it is good."""

    check: str
    level: Level
    said: str
    fix: str = ""


@dataclass(frozen=True)
class Check:
    """`look` gives (level, what it saw, fix), may raise a TakeoverError, which is a problem. `tiers` are rows."""

    name: str
    look: Callable[[Case], tuple[Level, str, str]]
    tiers: tuple[str, ...] = ()
    timeout_s: float = 10.0

    def applies(self, case: Case) -> bool:
        """A tier's own check is for stacks of that tier, and for a machine that has its variables set."""
        if not self.tiers or case.tier is not None:
            return not self.tiers or any(case.needs(row) for row in self.tiers)
        named = [tier(*row.split("/")).environment_variables for row in self.tiers]
        return any(not variables or any(map(os.environ.get, variables)) for variables in named)


def tier_of_stack(stack: str) -> Case:
    """The stack's tier, by its settings; Refused with what is wrong with them."""
    from takeover.engine.project import stack_file
    from takeover.settings import settings_from_stack_file

    settings = settings_from_stack_file(stack_file(project_root(), stack))
    return Case(stack, tier(settings.hosting.provider, settings.hosting.cluster), settings)


def examine(case: Case, checks: Sequence[Check] | None = None) -> list[Finding]:
    """All checks that apply, at once, each for its own time at most; in the order of the registry."""
    chosen = [check for check in (CHECKS if checks is None else checks) if check.applies(case)]
    waiting = [(check, _started(check, case)) for check in chosen]
    return [_ended(check, answer) for check, answer in waiting]


def _started(check: Check, case: Case) -> queue.Queue[Finding]:
    answer: queue.Queue[Finding] = queue.Queue()
    # A daemon: what hangs must not keep the command from ending.
    threading.Thread(target=lambda: answer.put(_looked(check, case)), daemon=True).start()
    return answer


def _ended(check: Check, answer: queue.Queue[Finding]) -> Finding:
    try:
        return answer.get(timeout=check.timeout_s)
    except queue.Empty:
        said = f"no answer in {check.timeout_s:g} s"
        return Finding(check.name, "problem", said, "Look at the network, a proxy or a firewall, and try again.")


def _looked(check: Check, case: Case) -> Finding:
    try:
        return Finding(check.name, *check.look(case))
    except TakeoverError as error:
        happened = f"{error.where}: {error.happened}" if error.where else error.happened
        return Finding(check.name, "problem", ". ".join(part for part in (happened, error.why) if part), error.fix)
    except Exception as error:  # noqa: BLE001 - a check that breaks must not take the others along
        return Finding(check.name, "problem", f"the check broke ({type(error).__name__})", "Report it.")


def _engine(_case: Case) -> tuple[Level, str, str]:
    from takeover.engine import binary

    found = binary.find([])
    if found is None:
        return "problem", "there is no Pulumi engine", "takeover engine install"
    return "good", f"Pulumi {binary.text_of(found.version)}, from {found.origin}", ""


def _disk(_case: Case) -> tuple[Level, str, str]:
    free = shutil.disk_usage(home_dir()).free
    level: Level = "good" if free > 10 * _GB else "note" if free > 2 * _GB else "problem"
    fix = "" if level == "good" else "A base of 7B parameters takes 15 GB; free some, or set TAKEOVER_CACHE elsewhere."
    return level, f"{free / _GB:.0f} GB free", fix


def _memory(case: Case) -> tuple[Level, str, str]:
    import psutil

    free = psutil.virtual_memory().available
    level: Level = "good" if free > 4 * _GB else "problem" if case.needs("local") and free < _GB else "note"
    return level, f"{free / _GB:.0f} GB available", "" if level == "good" else "Serve a small base, or on another tier."


def _local(case: Case) -> tuple[Level, str, str]:
    missing = [name for name in ("torch", "transformers", "peft", "fastapi") if find_spec(name) is None]
    if not missing:
        return "good", "torch and what else the local server needs is installed", ""
    return "problem" if case.needs("local") else "note", f"not installed: {', '.join(missing)}", "make setup"


def _hub(_case: Case) -> tuple[Level, str, str]:
    """Asks the Hub whose token it is."""
    from takeover.hub_client import explained, hub_api, hub_token, unreachable

    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return "note", "HF_HUB_OFFLINE is set: the Hub is never asked", "Unset it to pull and push."
    if hub_token() is None:
        return "note", "no token: public repositories only", "Set HF_TOKEN to push, and for gated or private ones."
    try:
        who = hub_api().whoami()
    except Exception as error:  # noqa: BLE001 - whatever the Hub's client raises is explained
        raise explained(error, "", "the token", "account") or unreachable(error, "The Hub", "asked") from None
    return "good", f"the token is {who['name']}'s", ""


def _network(case: Case) -> tuple[Level, str, str]:
    """Opens a connection to each vendor's host that the stack uses."""
    from takeover.engine import _network

    return _network.look(case)


def _modal_tool(_case: Case) -> tuple[Level, str, str]:
    missing = [name for name in ("modal", "pulumi_command") if find_spec(name) is None]
    if missing:
        return "problem", f"not installed: {', '.join(missing)}", "uv sync --inexact --group clouds"
    return "good", "the modal command and pulumi-command are installed", ""


def _modal_token(_case: Case) -> tuple[Level, str, str]:
    """Says hello to Modal, which looks at the token."""
    from takeover.providers._modal_credentials import require_credentials

    require_credentials(os.environ)
    from takeover.providers._modal_sdk import asking

    with asking("greeting Modal") as client:
        client.hello()
    return "good", "Modal accepts the token", ""


def _vllm(_case: Case) -> tuple[Level, str, str]:
    """Lists the server's models."""
    from takeover.providers._http import error_of, json_of, send
    from takeover.providers._openai import Server, build_models
    from takeover.providers._vllm_options import cluster_of

    cluster = cluster_of(os.environ)
    request = build_models(Server(cluster.root, cluster.key, f"the server at {cluster.root}"))
    response = asyncio.run(send(request))
    error = error_of(response, request)
    if error is not None:
        raise error
    count = len(json_of(response, request).get("data") or ())
    return "good", f"{cluster.root} serves {count} {'model' if count == 1 else 'models'}", ""


CHECKS: tuple[Check, ...] = (
    Check("engine", _engine),
    Check("disk", _disk),
    Check("memory", _memory),
    Check("network", _network, timeout_s=12.0),
    Check("local server", _local, tiers=("local",)),
    Check("Hugging Face Hub", _hub, timeout_s=20.0),
    Check("Modal's tools", _modal_tool, tiers=("modal",)),
    Check("Modal's token", _modal_token, tiers=("modal",), timeout_s=20.0),
    Check("vLLM server", _vllm, tiers=("dedicated-vllm/existing",), timeout_s=15.0),
    Check("Kubernetes' tools", clouds.kubernetes_tools, tiers=("dedicated-vllm/kubernetes", "dedicated-vllm/eks")),
    Check("Kubernetes cluster", clouds.kubernetes_cluster, tiers=("dedicated-vllm/kubernetes",), timeout_s=20.0),
    Check("AWS's tools", clouds.aws_tools, tiers=("dedicated-vllm/eks", "sagemaker")),
    Check("AWS account", clouds.aws_account, tiers=("dedicated-vllm/eks", "sagemaker"), timeout_s=20.0),
    Check("quota of GPU machines", clouds.ec2_quota, tiers=("dedicated-vllm/eks",), timeout_s=30.0),
    Check("quota of SageMaker", clouds.sagemaker_quota, tiers=("sagemaker",), timeout_s=30.0),
)
