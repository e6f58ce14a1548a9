"""What a stack's state says, and whether its endpoint answers now."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from takeover.engine.project import open_project
from takeover.engine.state import NotUp, pending_creates, read_state, stack_outputs

__all__ = ["Status", "look"]

_PATIENCE_S = 5.0


@dataclass(frozen=True)
class Status:
    """A stack as its state has it; `health` says in words what its endpoint answers."""

    stack: str
    up: bool
    answers: bool
    health: str
    resources: int = 0
    written: str = ""
    unfinished: tuple[str, ...] = ()
    url: str = ""
    model: str = ""
    digest: str = ""

    def __str__(self) -> str:
        unfinished = [f"  unfinished: {name}" for name in self.unfinished]
        if not self.up and self.resources + len(unfinished):
            head = f"{self.stack}: not up, but its state of {self.written} holds {self.resources} resources"
            fix = f"  takeover up --stack {self.stack} goes on, takeover destroy --stack {self.stack} removes them"
            return "\n".join((head, *unfinished, fix))
        if not self.up:
            return f"{self.stack}: not up. To put it up: takeover up --stack {self.stack}"
        lines = [
            f"{self.stack}: up, {self.resources} resources, state of {self.written}",
            *unfinished,
            f"  url     {self.url}",
            f"  model   {self.model}",
            f"  digest  {self.digest}",
            f"  health  {self.health}",
        ]
        return "\n".join(lines)


def look(stack: str) -> Status:
    """Read the state and ask the endpoint once; a stack that is not up is an answer, not an error."""
    try:
        state = read_state(open_project(), stack)
    except NotUp:
        return build_status(stack, None, {}, answers=False, health="")
    try:
        endpoint = stack_outputs(stack)["endpoint"]
    except (NotUp, KeyError):
        return build_status(stack, None, state, answers=False, health="")
    answers, health = _health(stack, endpoint)
    return build_status(stack, endpoint, state, answers=answers, health=health)


def _health(stack: str, endpoint: Mapping[str, Any]) -> tuple[bool, str]:
    """Where the tier can sleep, its vendor is asked: a request to the endpoint itself would wake it, and be billed."""
    from takeover.tiers import TIERS, Feature

    record = TIERS.get(str(endpoint.get("provider")))
    record = record and record.on(endpoint.get("cluster"))
    if record is None or not record.answers(Feature.SCALE_TO_ZERO):
        return ask_health(str(endpoint["url"]))
    from takeover.engine.running import inspect, of_stack

    found = inspect(of_stack(stack))
    if found is None:
        return False, "is gone"
    asleep = "asleep, none runs" if found.replicas == 0 else "answers"
    return found.healthy, found.reason or asleep


def build_status(
    stack: str, endpoint: Mapping[str, Any] | None, state: Mapping[str, Any], *, answers: bool, health: str
) -> Status:
    """The status from what was read; pure. `endpoint` is None where the stack has no outputs."""
    fix = f"; takeover refresh --stack {stack}, then takeover up --stack {stack}" if health and not answers else ""
    outputs = endpoint or {}
    return Status(
        stack,
        up=endpoint is not None,
        answers=answers,
        health=health + fix,
        resources=len(state.get("resources") or ()),
        written=str((state.get("manifest") or {}).get("time", ""))[:19].replace("T", " "),
        unfinished=tuple(pending.name for pending in pending_creates(state)),
        url=str(outputs.get("url", "")),
        model=str(outputs.get("model", "")),
        digest=str(outputs.get("digest", "")),
    )


def ask_health(url: str) -> tuple[bool, str]:
    """Whether the server answers on /health, in words."""
    import httpx

    began = time.monotonic()
    try:
        code = httpx.get(f"{url.removesuffix('/').removesuffix('/v1')}/health", timeout=_PATIENCE_S).status_code
    except httpx.HTTPError as error:
        return False, f"does not answer ({type(error).__name__})"
    spent_ms = (time.monotonic() - began) * 1000
    if code == 200:
        return True, f"answers, in {spent_ms:.0f} ms"
    return False, "still loading" if code == 503 else f"answers with HTTP {code}"
