"""A stack on Modal of the test's own: the real engine, `modal`, plugin and component, over the fake of Modal."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest
from fakes.artifacts import make_adapter
from fakes.modal_server import FakeModal

from components.hosting import HostingArgs
from components.modal import ModalHosting
from takeover.adapter import Adapter
from takeover.engine import binary
from takeover.engine.events import Line
from takeover.engine.stacks import Outcome, StackDriver
from takeover.providers._base import EndpointSpec
from takeover.tiers import tier

ROOT = Path(__file__).parents[2]
NAME = "takeover-dev-0a1b2c3d"
COMMAND = "command:local:Command"


@pytest.fixture(scope="session")
def engine() -> Path:
    """The real engine; a test that needs it skips where none can be had, and says why."""
    try:
        return binary.find_or_install()
    except binary.EngineMissing as missing:
        pytest.skip(str(missing))


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
    modal: FakeModal
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

    def apps(self) -> int:
        return len([app for app in self.modal.state.apps.values() if app.is_running])


def operations(outcome: Outcome) -> list[tuple[str, str]]:
    """What was done to the three resources, in order."""
    names = ("place", "deploy", "endpoint")
    return [(step.op, step.name) for step in outcome.steps if step.name in names]


@pytest.fixture
def stack(
    engine: Path, command_plugin: str, modal: FakeModal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModalStack:
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
    return ModalStack(root, tmp_path, modal, make_adapter(tmp_path / "tone-1", seed=1, name="tone"))
