"""The ground of this tier's tests: a fake cluster, a provider whose clock and whose sleep the test has in hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes.artifacts import make_adapter
from fakes.vllm_server import KEY, VllmCluster

from takeover.adapter import open_adapter
from takeover.providers._base import Endpoint, EndpointSpec, TrainedModel
from takeover.providers._progress import reporting
from takeover.providers.dedicated_vllm import VLLMProvider

NAME = "demo-prod-0a1b2c3d"


@dataclass
class Ground:
    """`now` is the provider's clock and the servers', in seconds; `said` is what the provider told."""

    cluster: VllmCluster
    folder: Path
    adapters: Path
    monkeypatch: pytest.MonkeyPatch
    options: dict[str, Any] = field(default_factory=dict)
    now: float = 1_800_000_000.0
    slept: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster.clock = lambda: self.now
        self.monkeypatch.setenv("VLLM_CLUSTER_URL", self.cluster.url)
        self.monkeypatch.setenv("VLLM_API_KEY", KEY)
        if len(self.cluster.replicas) > 1:
            self.options["replicaUrls"] = self.cluster.urls

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def shared(self) -> Path:
        """The folder that is shared where nothing else is said."""
        return self.home / "dedicated-vllm" / "adapters"

    def provider(self, home: str = "home") -> VLLMProvider:
        """Another `home` is another machine."""
        path = self.folder / home
        path.mkdir(exist_ok=True)
        return VLLMProvider(home=path, now=lambda: self.now, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def model(self, mark: str, *, name: str = "tone", rank: int = 4) -> TrainedModel:
        """A real artifact; another `mark` is another version."""
        path = self.adapters / f"{name}-{mark}-{rank}"
        if not path.exists():
            make_adapter(path, name=name, rank=rank, seed=ord(mark))
        return open_adapter(path).trained_model()

    def spec(self, **changes: Any) -> EndpointSpec:
        given = {"name": NAME, "base": "tiny", "max_replicas": 10, "options": self.options, **changes}
        return EndpointSpec(**given)

    async def deploy(self, *models: TrainedModel, home: str = "home", **changes: Any) -> Endpoint:
        with reporting(lambda _step, sentence: self.said.append(sentence)):
            return await self.provider(home).deploy(models, self.spec(**changes))

    def endpoint(self) -> Endpoint:
        """By name alone, as the engine's state may have it."""
        return Endpoint(id=NAME, name=NAME, provider="dedicated-vllm", url=f"{self.cluster.url}/v1", models=())

    def files(self) -> list[str]:
        """The adapters that lie in the shared folder."""
        return sorted(path.name for path in self.shared.iterdir() if path.is_dir()) if self.shared.exists() else []
