"""What a stack will cost and whether it fits, as pure functions: no input, no output, no clock."""

from __future__ import annotations

from takeover.planning._plan import Plan, plan, plan_of_cluster

__all__ = ["Plan", "plan", "plan_of_cluster"]
