"""A project of the test's own, with the real engine and the real plugin over the stand-in for serving/local."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pulumi
import pytest

from takeover.engine.stacks import Outcome, StackDriver
from takeover.providers._process import MARK

ROOT = Path(__file__).parents[2]
FAKE = ROOT / "tests" / "fakes" / "local_server.py"
TOKEN = "takeover:index:Endpoint"


@dataclass
class StackProject:
    """One stack whose program is `program`; what the test varies stands in `spec` and `marks`."""

    root: Path
    home: Path
    folder: Path
    marks: str = "a"
    spec: dict[str, Any] = field(default_factory=lambda: {"name": "demo-dev-1", "base": "tiny"})
    program: Callable[[], None] | None = None

    def driver(self) -> StackDriver:
        return StackDriver("dev", self.program or self.one_endpoint, project_dir=self.root)

    def one_endpoint(self) -> None:
        endpoint = make_endpoint("endpoint", self.models(), self.spec)
        pulumi.export("endpoint", {"url": pulumi.get(endpoint, "url"), "apiKey": pulumi.get(endpoint, "apiKey")})

    def models(self) -> list[dict[str, Any]]:
        return [self._model(mark) for mark in self.marks]

    def models_folder(self, mark: str) -> Path:
        path = self.folder / f"adapter-{mark}"
        path.mkdir(exist_ok=True)
        return path

    def _model(self, mark: str) -> dict[str, Any]:
        """An adapter that is nothing but its manifest, written once: a test may spoil it."""
        path, digest = self.models_folder(mark), "sha256:" + mark * 64
        if not (path / "manifest.json").exists():
            (path / "manifest.json").write_text(json.dumps({"digest": digest}))
        name = f"tone@{mark * 12}"
        base = self.spec["base"]
        return {"name": "tone", "digest": digest, "servedName": name, "path": str(path), "base": base, "rank": 8}

    def up(self) -> Outcome:
        return self.driver().up()

    def resource(self) -> Mapping[str, Any]:
        """The one endpoint as the state has it."""
        [found] = [each for each in self.driver().export()["resources"] if each["type"] == TOKEN]
        return dict(found)

    def servers(self) -> list[psutil.Process]:
        wanted = f"{self.home}/endpoints/"
        return [process for process in psutil.process_iter() if _folder_of(process).startswith(wanted)]

    def kill_servers(self) -> None:
        for server in self.servers():
            server.kill()
        give_up_at = time.monotonic() + 10
        while self.servers() and time.monotonic() < give_up_at:
            time.sleep(0.01)


def make_endpoint(name: str, models: Any, spec: Any, opts: pulumi.ResourceOptions | None = None) -> Any:
    """As components/endpoint.py makes it, but from plain values, which may be outputs of others."""
    outputs = dict.fromkeys(("url", "apiKey", "digests", "healthy", "model"))
    return pulumi.CustomResource(TOKEN, name, {"provider": "local", "models": models, "spec": spec, **outputs}, opts)


def _folder_of(process: psutil.Process) -> str:
    try:
        return "" if process.status() == psutil.STATUS_ZOMBIE else process.environ().get(MARK, "")
    except psutil.Error:
        return ""


@pytest.fixture
def project(engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StackProject]:
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
    monkeypatch.setenv("TAKEOVER_LOCAL_SERVER", f"{sys.executable} {FAKE}")
    monkeypatch.chdir(root)
    project = StackProject(root, tmp_path / "home", tmp_path)
    yield project
    project.kill_servers()
