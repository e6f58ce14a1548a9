"""`takeover:dedicated-vllm`: what its keys say together. Pure; the provider asks the same rules."""

from __future__ import annotations

import re
from collections.abc import Iterator

from takeover.errors import Refused
from takeover.settings._models import DedicatedVllmOptions
from takeover.settings._raw import WrongSetting, join, shown
from takeover.tiers import TIERS, No

__all__ = ["dedicated_vllm_mistakes"]

_KEY = "dedicated-vllm"
_PLACES = ("{name}", "{digest}", "{digest12}")


def dedicated_vllm_mistakes(options: DedicatedVllmOptions) -> Iterator[Refused]:
    """What is wrong with these options together; each names its YAML key."""
    engine = TIERS[_KEY].engines[options.engine]
    if isinstance(engine, No):
        yield _wrong("engine", f"is {options.engine}, but {engine.reason}.", fix=f"Use {engine.instead}.")
    yield from _replica_mistakes(options)
    yield from _shared_mistakes(options) if options.adapter_files == "shared-path" else _pull_mistakes(options)


def _wrong(key: str, said: str, *, why: str = "", fix: str) -> Refused:
    where = join(_KEY, key)
    return WrongSetting(f"{where} {said}", why=why, fix=fix, where=where)


def _replica_mistakes(options: DedicatedVllmOptions) -> Iterator[Refused]:
    if options.replica_urls and options.resolve != "none":
        yield _wrong(
            "resolve", f"is {options.resolve}, but replicaUrls names the replicas already.", fix="Keep one of the two."
        )
    for index, url in enumerate(options.replica_urls):
        if "@" in url.split("/")[2]:
            # Not quoted: messages end in logs.
            yield _wrong(
                f"replicaUrls[{index}]",
                "holds a name or a password.",
                fix="Leave it out: the key is in VLLM_API_KEY.",
            )
    roots = [url.rstrip("/").removesuffix("/v1") for url in options.replica_urls]
    for index, root in enumerate(roots):
        if root in roots[:index]:
            yield _wrong(f"replicaUrls[{index}]", f"is {shown(root)}, which is named already.", fix="Name it once.")


def _shared_mistakes(options: DedicatedVllmOptions) -> Iterator[Refused]:
    if options.pull_from is not None:
        yield _wrong(
            "pullFrom",
            "is set, but adapterFiles is shared-path.",
            fix="Remove it, or set adapterFiles: server-pulls.",
        )
    if options.shared_path_there is not None and options.shared_path is None:
        yield _wrong(
            "sharedPathThere", "is set, but sharedPath is not.", fix="Name the same folder as it is seen from here too."
        )


def _pull_mistakes(options: DedicatedVllmOptions) -> Iterator[Refused]:
    """The server pulls whatever `main` is when it loads: only a name made of the content says which version that is."""
    for key, value in (("sharedPath", options.shared_path), ("sharedPathThere", options.shared_path_there)):
        if value is not None:
            yield _wrong(key, "is set, but adapterFiles is server-pulls.", fix="Remove it.")
    if options.pull_from is None:
        yield _wrong(
            "pullFrom",
            "is missing: with adapterFiles: server-pulls the server is told where to pull from.",
            fix="Add it, for example pullFrom: acme/{name}-{digest12} (a Hub repository for each version).",
        )
        return
    unknown = [place for place in re.findall(r"\{[^}]*\}?", options.pull_from) if place not in _PLACES]
    if unknown:
        said = f"is {shown(options.pull_from)}, but {unknown[0]} stands for nothing."
        yield _wrong("pullFrom", said, fix=f"The places are {', '.join(_PLACES)}.")
    if "{digest" not in options.pull_from:
        yield _wrong(
            "pullFrom",
            f"is {shown(options.pull_from)}, which names no version.",
            why="A server that pulls from the Hub takes the newest commit, and cannot be told another one: what it "
            "serves would change with the next push, under the same name.",
            fix="Put {digest12} into the name, so that each version has a repository of its own, or use shared-path.",
        )
