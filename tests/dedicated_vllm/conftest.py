"""Fixtures of this tier's tests; what they are made of is in vllm_ground.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.vllm_server import vllm_cluster
from vllm_ground import Ground


@pytest.fixture(scope="session")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapters that the tests share: they are only read."""
    return tmp_path_factory.mktemp("adapters")


@pytest.fixture
def ground(
    request: pytest.FixtureRequest, tmp_path: Path, adapters: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ground]:
    """One server; `@pytest.mark.parametrize("ground", [{"replicas": 2}], indirect=True)` for others."""
    options: dict[str, Any] = getattr(request, "param", {})
    with vllm_cluster(**options) as cluster:
        yield Ground(cluster, tmp_path, adapters, monkeypatch)


@pytest.fixture
def two(tmp_path: Path, adapters: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    """Two replicas behind one address, each named."""
    with vllm_cluster(replicas=2) as cluster:
        yield Ground(cluster, tmp_path, adapters, monkeypatch)
