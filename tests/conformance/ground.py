"""The ground that the conformance suite stands on: one fake world per record of the registry, clusters apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from worlds import WORLDS, World, make_model, make_spec

from takeover.providers import provider_for
from takeover.providers._base import EndpointSpec, InferenceProvider, TrainedModel
from takeover.tiers import Tier, all_tiers

__all__ = ["Ground", "ground"]

ROWS = {record.row: record for record in all_tiers()}


@dataclass(frozen=True)
class Ground:
    """A tier under test: its record, its provider, its fake world, and a folder."""

    tier: Tier
    provider: InferenceProvider
    world: World
    folder: Path

    def model(self, mark: str, *, name: str = "tone", rank: int = 8) -> TrainedModel:
        """An adapter, made once, as this tier takes one: `mark` is one hexadecimal digit, and decides its weights."""
        return self.world.dressed(make_model(self.folder, mark, name=name, rank=rank))

    def spec(self, name: str, **changes: object) -> EndpointSpec:
        """What is asked for, as this tier takes it."""
        return self.world.wanted(make_spec(name, **changes))


@pytest.fixture(params=list(ROWS))
def ground(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    record = ROWS[request.param]
    world = WORLDS[record.row](tmp_path, monkeypatch)
    try:
        yield Ground(record, provider_for(record.name, record.cluster), world, tmp_path)
        assert world.violations() == []
        request.node.user_properties.append(("requests", world.requests()))
    finally:
        world.close()
