"""What the conformance suite needs of a tier: a fake world of its vendor. One row in WORLDS for each record."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import psutil
import pytest
from fakes.artifacts import make_adapter
from fakes.modal_server import TOKEN_SECRET, FakeModal
from kube_world import EksWorld, KubeWorld
from sagemaker_world import SageMakerWorld
from vllm_world import VllmWorld
from world_defaults import AsMade, canned_endpoint

from takeover.adapter import open_adapter
from takeover.providers._base import Endpoint, EndpointSpec, TrainedModel

BASE = "tiny"
KEY = "a-key-that-must-not-be-seen"


class World(Protocol):
    """One tier's vendor, faked. It is made for one test, in `folder`, and ended with it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None: ...

    def existing(self, name: str) -> int:
        """How many endpoints of that name the vendor has, counted without the provider under test."""
        ...

    def secrets(self, name: str) -> list[str]:
        """Everything that must never be shown of that endpoint."""
        ...

    def logs(self, name: str) -> str:
        """What the tier's processes wrote, for the search for secrets."""
        ...

    def next_start_dies(self, words: str) -> None:
        """From now on a server of this tier prints `words` and ends while it starts."""
        ...

    def answering(self, status: int | None, body: str, headers: Mapping[str, str]) -> Iterator[Endpoint]:
        """A context: an endpoint that gives this answer (None: a cut connection) to every request."""
        ...

    def violations(self) -> list[str]:
        """Requests that the vendor does not describe."""
        ...

    def requests(self) -> int:
        """How many requests the fake has held against the vendor's description."""
        ...

    def close(self) -> None:
        """End what still runs."""
        ...

    def dressed(self, model: TrainedModel) -> TrainedModel:
        """The adapter as this tier takes one: at an address that its servers read, on a base that they can load."""
        ...

    def wanted(self, spec: EndpointSpec) -> EndpointSpec:
        """What is asked for, with the base and the options that this tier must have."""
        ...


class LocalWorld(AsMade):
    """Processes of this machine, by the stand-in for serving/local."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = folder / "home"
        self.monkeypatch = monkeypatch
        self.counts = folder / "requests"
        monkeypatch.setenv("TAKEOVER_FAKE_COUNTS", str(self.counts))
        fake = Path(__file__).parents[1] / "fakes" / "local_server.py"
        monkeypatch.setenv("TAKEOVER_HOME", str(self.home))
        monkeypatch.setenv("TAKEOVER_LOCAL_SERVER", f"{sys.executable} {fake}")

    def _servers(self, name: str = "") -> list[psutil.Process]:
        """By their command lines: the provider itself goes by other marks."""
        wanted = f"{self.home}/endpoints/{name}"
        return [process for process in psutil.process_iter() if _state_dir(process).startswith(wanted)]

    def existing(self, name: str) -> int:
        return len(self._servers(f"{name}"))

    def secrets(self, name: str) -> list[str]:
        return [(self.home / "endpoints" / name / "key").read_text().strip()]

    def logs(self, name: str) -> str:
        return (self.home / "endpoints" / name / "server.log").read_text()

    def next_start_dies(self, words: str) -> None:
        self.monkeypatch.setenv("TAKEOVER_FAKE_DIES", words)

    def answering(self, status: int | None, body: str, headers: Mapping[str, str]) -> AbstractContextManager[Endpoint]:
        return canned_endpoint("local", KEY, status, body, headers)

    def violations(self) -> list[str]:
        logs = self.home.glob("endpoints/*/server.log")
        return [line for log in logs for line in log.read_text().splitlines() if "VIOLATION" in line]

    def requests(self) -> int:
        return len(self.counts.read_text().splitlines()) if self.counts.exists() else 0

    def close(self) -> None:
        for process in self._servers():
            process.kill()


class ModalWorld(AsMade):
    """Modal's control plane on the loopback, and containers with the app's own guard; the real client and command."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.modal = FakeModal().__enter__()
        monkeypatch.setenv("TAKEOVER_HOME", str(folder / "home"))
        monkeypatch.setenv("MODAL_CONFIG_PATH", str(folder / "no-such-file"))
        for variable, value in self.modal.environment.items():
            monkeypatch.setenv(variable, value)

    def existing(self, name: str) -> int:
        """Apps that run; without one, whatever else is left of it."""
        running = [app for app in self.modal.state.apps.values() if app.name == name and app.is_running]
        return len(running) or int(self.modal.state.volume(name) is not None)

    def secrets(self, name: str) -> list[str]:
        volume = self.modal.state.volume(name)
        assert volume is not None
        return [TOKEN_SECRET, self.modal.state.blobs[volume.files["key"]].decode()]

    def logs(self, name: str) -> str:
        return "\n".join(line for app in self.modal.state.apps.values() for line in app.logs)

    def next_start_dies(self, words: str) -> None:
        self.modal.web.dies = [words]

    def answering(self, status: int | None, body: str, headers: Mapping[str, str]) -> AbstractContextManager[Endpoint]:
        return canned_endpoint("modal", KEY, status, body, headers)

    def violations(self) -> list[str]:
        return self.modal.violations

    def requests(self) -> int:
        return len(self.modal.calls)

    def close(self) -> None:
        self.modal.__exit__()


def _state_dir(process: psutil.Process) -> str:
    try:
        words = process.cmdline()
    except psutil.Error:
        return ""
    return words[words.index("--state-dir") + 1] if "--state-dir" in words else ""


def make_model(folder: Path, mark: str, *, name: str = "tone", rank: int = 8) -> TrainedModel:
    """An adapter, made once: `mark` is one hexadecimal digit, and decides its weights, so its digest."""
    path = folder / f"{name}-{mark}-{rank}"
    if path.exists():
        return open_adapter(path).trained_model()
    return make_adapter(path, rank=rank, seed=int(mark, 16), name=name).trained_model()


def make_spec(name: str, **changes: object) -> EndpointSpec:
    return EndpointSpec.model_validate({"name": name, "base": BASE, **changes})


WORLDS: Mapping[str, type[World]] = {
    "local": LocalWorld,
    "modal": ModalWorld,
    "dedicated-vllm/existing": VllmWorld,
    "dedicated-vllm/kubernetes": KubeWorld,
    "dedicated-vllm/eks": EksWorld,
    "sagemaker": SageMakerWorld,
}
