"""A stack that makes a cluster and serves nothing: it has `takeover:eks` with `role: cluster`, and no other key."""

from __future__ import annotations

from collections.abc import Mapping

from takeover.errors import Refusals, Refused
from takeover.settings._eks import EksOptions
from takeover.settings._eks_mistakes import eks_mistakes
from takeover.settings._messages import validate
from takeover.settings._raw import WrongSetting, join, parse_value

__all__ = ["cluster_options"]


def cluster_options(raw: Mapping[str, str], *, stack: str) -> EksOptions | None:
    """What such a stack says, checked; None for every other stack. `raw` is as in `parse_settings`. Pure.

    Raises Refusals with every mistake.
    """
    value, mistakes = parse_value("eks", raw.get("eks", "{}"))
    if not isinstance(value, dict) or value.get("role") != "cluster":
        return None
    for key in raw:
        if key != "eks":
            said = f"{join(key)} is set, but this stack makes a cluster and serves nothing ({join('eks', 'role')})."
            fix = f"Remove it; a stack that serves names this one in {join('eks', 'clusterStack')}."
            mistakes.append(WrongSetting(said, fix=fix, where=join(key)))
    options, wrong = validate(EksOptions, "eks", value)
    more: list[Refused] = list(eks_mistakes(options, None)) if options is not None else []
    Refusals.raise_if_any(f"the settings of the stack {stack}", [*mistakes, *wrong, *more])
    return options
