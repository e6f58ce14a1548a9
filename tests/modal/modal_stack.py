"""A stack on Modal of the test's own: the real engine, `modal`, plugin and component, over the fake of Modal."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pulumi
import pytest
from fakes.artifacts import make_adapter
from fakes.modal_server import FakeModal
from modal_proto import api_pb2 as api

from components.hosting import HostingArgs
from components.modal import ModalHosting
from takeover.adapter import Adapter
from takeover.engine.events import Line
from takeover.engine.stacks import Outcome, StackDriver
from takeover.modal_contract import parse_container_settings
from takeover.providers._base import EndpointSpec
from takeover.providers._modal_sdk import rescale
from takeover.tiers import tier

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NAME = "takeover-dev-0a1b2c3d"
COMMAND = "command:local:Command"


@pytest.fixture
def command_plugin(monkeypatch: pytest.MonkeyPatch) -> str:
    """pulumi-command's plugin: the real one where it is on PATH, else the stand-in."""
    real = shutil.which("pulumi-resource-command")
    if real is None:
        monkeypatch.setenv("PATH", f"{ROOT / 'tests' / 'fakes'}{os.pathsep}{os.environ['PATH']}")
    return real or "the stand-in"


@pytest.fixture
def modal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeModal]:
    """The fake, where the client looks for Modal; no token file of the user's is read."""
    monkeypatch.setenv("MODAL_CONFIG_PATH", str(tmp_path / "no-such-file"))
    with FakeModal() as fake:
        for variable, value in fake.environment.items():
            monkeypatch.setenv(variable, value)
        yield fake
        assert fake.violations == []


@dataclass
class ModalStack:
    """One stack whose program hosts `adapter` on Modal; what the test varies stands in the fields."""

    root: Path
    folder: Path
    modal: FakeModal | None
    adapter: Adapter
    name: str = NAME
    options: dict[str, Any] = field(default_factory=dict)
    maximum: int = 1
    lines: list[Line] = field(default_factory=list)

    def program(self) -> None:
        spec = EndpointSpec(
            name=self.name,
            base="tiny",
            min_replicas=0,
            max_replicas=self.maximum,
            options=self.options,
            labels={"managed-by": "takeover", "stack": "dev"},
        )
        hosting = ModalHosting("hosting", HostingArgs(tier("modal"), (self.adapter.trained_model(),), spec))
        pulumi.export("endpoint", {"url": hosting.url, "apiKey": pulumi.Output.secret(hosting.api_key)})

    def driver(self) -> StackDriver:
        return StackDriver("dev", self.program, project_dir=self.root, on_line=self.lines.append)

    def up(self) -> Outcome:
        return self.driver().up()

    def use(self, seed: int) -> Adapter:
        """Another version of the adapter."""
        self.adapter = make_adapter(self.folder / f"tone-{seed}", seed=seed, name="tone")
        return self.adapter

    def state(self) -> dict[str, Mapping[str, Any]]:
        """The resources in the engine's state by name; the secrets in it are ciphertext."""
        exported = self.driver().export()["resources"]
        return {each["urn"].rpartition("::")[2]: each for each in exported}

    @property
    def fake(self) -> FakeModal:
        assert self.modal is not None
        return self.modal

    def apps(self) -> int:
        return len([app for app in self.fake.state.apps.values() if app.is_running])

    def served(self) -> list[str]:
        """The digests that a container would serve now."""
        app = self.fake.state.deployed(self.name)
        assert app is not None
        environment = self.fake.state.environment_of(self.fake.state.service(app).definition)
        return [adapter.digest for adapter in parse_container_settings(environment).served]

    def left(self) -> list[str]:
        """What Modal still has of the endpoint."""
        volumes = [volume.name for volume in self.fake.state.volumes.values() if volume.name == self.name]
        return [*volumes, *(app.name for app in self.fake.state.apps.values() if app.is_running)]

    def limits(self) -> tuple[int, int]:
        """Fewest and most containers, as Modal has them now."""
        app = self.fake.state.deployed(self.name)
        assert app is not None
        service = self.fake.state.service(app)
        settings = service.override or service.definition.autoscaler_settings
        return settings.min_containers, settings.max_containers

    def scale_by_hand(self, containers: int) -> None:
        rescale(self.name, minimum=containers, maximum=containers)

    def stop_by_hand(self) -> None:
        app = self.fake.state.deployed(self.name)
        assert app is not None
        app.state = api.APP_STATE_STOPPED

    def start_up(self) -> subprocess.Popen[bytes]:
        """`up` in a process of its own, as a user runs it, in a group that can be killed at once."""
        return subprocess.Popen(
            [sys.executable, str(HERE / "run_modal_up.py"), str(self.root), str(self.adapter.path)],
            env={**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}{os.pathsep}{ROOT}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def engine_under(process: subprocess.Popen[bytes]) -> psutil.Process:
    """The engine that runs below a process of ours."""
    children = psutil.Process(process.pid).children(recursive=True)
    return next(child for child in children if Path(child.exe()).name == "pulumi")


def operations(outcome: Outcome) -> list[tuple[str, str]]:
    """What was done to the three resources, in order."""
    names = ("place", "deploy", "endpoint")
    return [(step.op, step.name) for step in outcome.steps if step.name in names]


@pytest.fixture
def stack(
    engine: Path, command_plugin: str, modal: FakeModal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModalStack]:
    root = tmp_path / "project"
    root.mkdir()
    (root / "Pulumi.yaml").write_text(
        "name: takeover\nruntime: python\nplugins:\n  providers:\n"
        f"    - name: takeover\n      path: {json.dumps(str(ROOT / 'plugin'))}\n"
    )
    (root / "Pulumi.dev.yaml").write_text("config: {}\n")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi-home"))
    monkeypatch.setenv("TAKEOVER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TAKEOVER_PYTHON", sys.executable)
    monkeypatch.chdir(root)
    yield ModalStack(root, tmp_path, modal, make_adapter(tmp_path / "tone-1", seed=1, name="tone"))
    gc.collect()  # what a failed run left of the SDK's coroutines ends here, and not in the middle of another test
