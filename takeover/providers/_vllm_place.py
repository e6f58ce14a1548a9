"""Where one endpoint of the tier dedicated-vllm is: its cluster, its options, its files, and what is known of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from takeover.bases import parse_base
from takeover.errors import Refused
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.providers._local_state import EndpointFolder
from takeover.providers._openai import ServedBase
from takeover.providers._vllm_adapters import Wanted
from takeover.providers._vllm_files import SharedFolder
from takeover.providers._vllm_options import Cluster, parse_options, pull_path
from takeover.providers._vllm_record import Desks, Record
from takeover.providers._vllm_replicas import Fleet, View
from takeover.settings import DedicatedVllmOptions

__all__ = ["Layout", "Place", "base_mistake", "layout_of", "serves_base"]

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


@dataclass(frozen=True)
class Layout:
    """The disk's part of it: `desks` with the records, `shared` with the adapters (None where servers pull)."""

    options: DedicatedVllmOptions
    desks: Desks
    shared: SharedFolder | None

    @property
    def lock(self) -> EndpointFolder:
        """One at a time over all endpoints that share a folder: they share adapters too."""
        return EndpointFolder(self.desks.folders[-1], "servers")


def layout_of(home: Path, name: str, spec: EndpointSpec | None) -> Layout:
    """The layout under these options; without a `spec` under those of the home's record, if there is one."""
    own = EndpointFolder(home / "dedicated-vllm", name).home
    noted = Desks((own,)).read(name) if spec is None else None
    spec = noted.spec if noted else spec
    options = parse_options(spec.options if spec else {})
    if options.adapter_files != "shared-path":
        return Layout(options, Desks((own,)), None)
    here = Path(options.shared_path).expanduser() if options.shared_path else own / "adapters"
    there = (options.shared_path_there or str(here)).rstrip("/")
    # Without a setting the shared folder is in the home, and one desk is enough.
    folders = (own, here / ".takeover") if options.shared_path else (own,)
    return Layout(options, Desks(folders), SharedFolder(here, there))


@dataclass(frozen=True)
class Place:
    """One endpoint. `record` is what was asked for last, None where nobody knows."""

    name: str
    cluster: Cluster
    layout: Layout
    fleet: Fleet
    record: Record | None

    @property
    def options(self) -> DedicatedVllmOptions:
        return self.layout.options

    @property
    def shared(self) -> SharedFolder | None:
        return self.layout.shared

    @cached_property
    def others(self) -> list[Record]:
        return self.layout.desks.others(self.name)

    def wanted(self, model: TrainedModel) -> Wanted:
        name = self.fleet.engine.loaded(model.served_name)
        if self.shared is not None:
            return Wanted(model, name, self.shared.path_there(name))
        return Wanted(model, name, pull_path(self.options.pull_from or "", model))

    def current(self) -> list[Wanted]:
        """What was asked for last."""
        return [self.wanted(model) for model in self.record.models] if self.record else []

    def names(self) -> set[str]:
        """All that this endpoint ever loaded and did not let go yet."""
        retired = {each.name for each in self.record.retired} if self.record else set()
        return retired | {wanted.name for wanted in self.current()}

    def is_ours(self, name: str, root: str) -> bool:
        """Whether takeover loaded it, for this endpoint or for another one: from a path that a record has."""
        paths = {record.paths.get(name) for record in (*self.others, *([self.record] if self.record else []))}
        return root in paths | {wanted.path for wanted in self.current() if wanted.name == name}

    def is_used_elsewhere(self, name: str, *, anywhere: bool = False) -> bool:
        """Whether another endpoint has it loaded at this cluster, or (`anywhere`) needs its files."""
        return any(name in record.paths and (anywhere or record.root == self.cluster.root) for record in self.others)

    def missing(self, view: View) -> list[str]:
        """What was asked for and this server does not serve."""
        return [
            wanted.name
            for wanted in self.current()
            if not self.is_ours(wanted.name, view.adapters.get(wanted.name, ""))
        ]

    def serves_any(self, view: View) -> bool:
        """Whether this server has anything that we loaded for this endpoint."""
        return any(name in self.names() and self.is_ours(name, root) for name, root in view.seen.items())

    def drop_files(self, name: str) -> None:
        if self.shared is not None and not self.is_used_elsewhere(name, anywhere=True):
            self.shared.remove(name)

    def note(self, record: Record) -> None:
        self.layout.desks.write(self.name, record)

    def forget(self) -> None:
        """Remove what lies on disks; the servers are another matter."""
        for name in self.names():
            self.drop_files(name)
        self.layout.desks.remove(self.name)


def serves_base(bases: Sequence[ServedBase], base: str, named: str | None) -> bool | None:
    """Whether these are the base that the adapters were trained on; None where the server does not tell.

    vLLM tells its name and the path or Hub id that it was loaded from, no revision.
    """
    if named is not None:
        return any(each.name == named for each in bases)
    ref = parse_base(base)
    if any(base == each.name or (ref.kind == "hub" and ref.name in {each.name, each.root}) for each in bases):
        return True
    is_other = ref.kind == "hub" and bool(bases) and all(_HUB_ID.fullmatch(each.root) for each in bases)
    return False if is_other else None


def base_mistake(view: View, base: str, named: str | None) -> Iterator[Refused]:
    if serves_base(view.bases, base, named) is not False:
        return
    names = ", ".join(sorted({each.name for each in view.bases} | {each.root for each in view.bases})) or "none"
    where = "takeover:dedicated-vllm.baseModel"
    if named is not None:
        yield Refused(
            f"{view.server.root} serves no {named}", why=f"It serves {names}.", fix="Correct it.", where=where
        )
        return
    yield Refused(
        f"{view.server.root} serves another base",
        why=f"The adapters were trained on {base}, and it serves {names}: the answers would be noise.",
        fix="Start it with that base; if it is the same one under another name, write that name into baseModel.",
        where=where,
    )
