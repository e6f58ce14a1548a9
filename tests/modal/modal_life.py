"""One app's life by the real `modal` command, recorded once for several tests: each call takes over a second."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes.artifacts import make_adapter
from fakes.modal_server import FakeModal
from fakes.modal_state import App, State
from google.protobuf.json_format import MessageToDict

from takeover.adapter import Adapter
from takeover.modal_contract import AdapterRef, ContainerSettings, container_environment
from takeover.providers._modal_source import APP_FILE, ROOT

NAME = "takeover-staging-0a1b2c3d"
SECRETS = ["hf-that-must-not-be-seen", "as-that-must-not-be-seen"]
PATIENCE_S = 60
FULL = {
    "gpu": "H100",
    "min_containers": 1,
    "max_containers": 4,
    "buffer_containers": 2,
    "scaledown_window_s": 90,
    "max_concurrent_inputs": 16,
    "regions": ("eu", "us-east"),
    "startup_timeout_s": 900,
    "request_timeout_s": 300,
    "secrets": ("huggingface",),
}


@dataclass(frozen=True)
class Moment:
    """What there is after one command, what it printed, and which calls it made."""

    printed: str
    state: State
    calls: list[str]

    @property
    def app(self) -> App:
        app = self.state.deployed(NAME)
        assert app is not None
        return app

    @property
    def definition(self) -> dict[str, Any]:
        """The function behind the class, as Modal would run it."""
        found: dict[str, Any] = MessageToDict(self.state.service(self.app).definition, preserving_proto_field_name=True)
        return found

    @property
    def environment(self) -> dict[str, str]:
        """What a container finds in its environment, the user's own secrets aside."""
        found = self.state.environment_of(self.state.service(self.app).definition)
        return {name: value for name, value in found.items() if name != "HF_TOKEN"}

    def files(self, volume: str) -> dict[str, str]:
        found = self.state.volume(volume)
        assert found is not None
        return found.files

    def builds(self) -> int:
        """Steps of the build that ran a function."""
        return len([image for image in self.state.images.values() if image.HasField("build_function")])


@dataclass
class Life:
    """`moments` by name, in the order of `live`."""

    first: Adapter
    second: Adapter
    modal: FakeModal
    moments: dict[str, Moment] = field(default_factory=dict)

    def live(self) -> None:
        self._deploy("new", settings_for(self.first))
        self._deploy("again", settings_for(self.first))
        self._deploy("changed", settings_for(self.second, **FULL))
        self._lose("takeover-bases")
        self._deploy("refilled", settings_for(self.second, **FULL))
        self._modal("stopped", "app", "stop", NAME, "--yes")

    def _deploy(self, moment: str, settings: ContainerSettings) -> None:
        self._modal(moment, "deploy", str(APP_FILE), environment=container_environment(settings))

    def _modal(self, moment: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.modal.calls.clear()
        done = subprocess.run(
            [sys.executable, "-m", "modal", *arguments],
            cwd=ROOT,
            env={**os.environ, **self.modal.environment, "MODAL_CONFIG_PATH": "/dev/null", **(environment or {})},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        state = copy.deepcopy(self.modal.state)
        self.moments[moment] = Moment(done.stdout + done.stderr, state, list(self.modal.calls))

    def _lose(self, volume: str) -> None:
        """Somebody deletes it."""
        found = self.modal.state.volume(volume)
        assert found is not None
        del self.modal.state.volumes[found.id]


def settings_for(adapter: Adapter, **changes: Any) -> ContainerSettings:
    given: dict[str, Any] = {
        "name": NAME,
        "base": "tiny",
        "adapters": (AdapterRef(name=adapter.name, digest=adapter.digest, source=str(adapter.path)),),
        "largest_rank": 8,
        "gpu": "L40S",
        "labels": {"managed-by": "takeover", "stack": "staging"},
    }
    return ContainerSettings(**{**given, **changes})


@pytest.fixture(scope="session")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    folder: Path = tmp_path_factory.mktemp("life")
    with FakeModal() as modal:
        modal.have_secret("huggingface", {"HF_TOKEN": SECRETS[0]})
        adapters = [make_adapter(folder / f"tone-{seed}", seed=seed, name="tone") for seed in (1, 2)]
        lived = Life(*adapters, modal)
        lived.live()
        yield lived
        assert modal.violations == []
