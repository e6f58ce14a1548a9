"""The world of dedicated-vllm: two replicas behind a balancer that somebody else runs, and one folder with files."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from fakes.vllm_server import KEY, VllmCluster
from world_defaults import AsMade, canned_endpoint

from takeover.providers._base import Endpoint


class VllmWorld(AsMade):
    """The balancer is what VLLM_CLUSTER_URL names; `resolve: dns` and the rest are tests of the tier's own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = folder / "home"
        self.cluster = VllmCluster().__enter__()
        monkeypatch.setenv("TAKEOVER_HOME", str(self.home))
        monkeypatch.setenv("VLLM_CLUSTER_URL", self.cluster.url)
        monkeypatch.setenv("VLLM_API_KEY", KEY)

    def existing(self, name: str) -> int:
        """A record that nobody removed; where there is none at all, what was left loaded or lying about."""
        ours = self.home / "dedicated-vllm"
        records = [file.stem for file in ours.glob("endpoints/*.json")]
        files = [path for path in ours.glob("adapters/*") if path.is_dir()]
        is_left = bool(files or any(self.cluster.names()))
        return records.count(name) if records else int(is_left)

    def secrets(self, name: str) -> list[str]:
        return [KEY]

    def logs(self, name: str) -> str:
        return "\n".join(file.read_text() for file in (self.home / "dedicated-vllm").rglob("*.json"))

    def next_start_dies(self, words: str) -> None:
        self.cluster.failing_loads = words

    def answering(self, status: int | None, body: str, headers: Mapping[str, str]) -> AbstractContextManager[Endpoint]:
        return canned_endpoint("dedicated-vllm", SHOWN, status, body, headers)

    def violations(self) -> list[str]:
        return self.cluster.violations

    def requests(self) -> int:
        return len(self.cluster.requests)

    def close(self) -> None:
        self.cluster.close()
        shutil.rmtree(self.home, ignore_errors=True)


# The key of worlds.py, which imports this file.
SHOWN = "a-key-that-must-not-be-seen"
