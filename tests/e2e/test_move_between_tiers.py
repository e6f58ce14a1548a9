"""One stack moved from tier to tier by one line of its file, while an application keeps asking."""

from __future__ import annotations

import os
import re
import runpy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import ROOT, ScratchProject
from e2e.load import Load
from fakes.artifacts import make_adapter
from fakes.modal_server import FakeModal

from takeover.client import Client

pytestmark = [pytest.mark.slow, pytest.mark.engine, pytest.mark.usefixtures("engine")]

LIVE = runpy.run_path(str(ROOT / "tests" / "serving" / "live.py"))
# What each tier is told besides stays in the file: only `provider:` changes.
STACK = """\
config:
  takeover:hosting:
    environment: development
    provider: local
  takeover:adapter:
    source: {source}
  takeover:local:
    drainSeconds: 10
  takeover:modal:
    gpu: T4
  takeover:dedicated-vllm:
    agreements: 2
"""
TIERS = ("local", "dedicated-vllm", "modal")


@dataclass
class Mover:
    """The stack `dev` of the project, and what each tier has of it."""

    project: ScratchProject
    vllm: Any
    modal: FakeModal

    def choose(self, provider: str) -> None:
        file = self.project.root / "Pulumi.dev.yaml"
        file.write_text(re.sub(r"(?m)^    provider: \S+$", f"    provider: {provider}", file.read_text()))

    def move_to(self, provider: str) -> None:
        self.choose(provider)
        self.project.takeover("up", "--stack", "dev")

    def left(self) -> dict[str, int]:
        """How much each tier has: processes, adapters that are loaded, apps and volumes of the endpoint's."""
        with self.vllm.http() as http:
            loaded = [card["id"] for card in http.get("/v1/models").json()["data"] if card["parent"]]
        apps = [app.name for app in self.modal.state.apps.values() if app.is_running]
        volumes = [each.name for each in self.modal.state.volumes.values() if each.name != "takeover-bases"]
        return dict(zip(TIERS, (len(self.project.servers()), len(loaded), len(apps + volumes)), strict=True))


@pytest.fixture
def mover(project: ScratchProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mover]:
    """pulumi-command's plugin is the stand-in, unless the real one is on PATH."""
    (project.root / "Pulumi.dev.yaml").write_text(STACK.format(source=make_adapter(tmp_path / "support-tone").path))
    with LIVE["live_server"]() as vllm, FakeModal() as modal:
        project.environment.update(
            modal.environment,
            PATH=f"{os.environ['PATH']}{os.pathsep}{ROOT / 'tests' / 'fakes'}",
            MODAL_CONFIG_PATH=str(tmp_path / "no-such-file"),
            VLLM_CLUSTER_URL=vllm.url,
            VLLM_API_KEY=LIVE["KEY"],
        )
        monkeypatch.setenv("TAKEOVER_HOME", project.environment["TAKEOVER_HOME"])
        yield Mover(project, vllm, modal)
        assert modal.violations == []


def test_a_stack_moves_over_three_tiers_and_back_and_loses_no_request(mover: Mover) -> None:
    project = mover.project
    mover.move_to("local")
    mover.choose("modal")
    seen = project.takeover("preview", "--stack", "dev").stderr
    assert "the stack moves: what it has now answers until the outputs name the new tier" in seen
    with Load(lambda: Client.from_stack("dev", project_dir=project.root), threads=2, pause_s=0.05) as load:
        for provider, left in (
            ("dedicated-vllm", {"local": 0, "dedicated-vllm": 1, "modal": 0}),
            ("modal", {"local": 0, "dedicated-vllm": 0, "modal": 2}),
            ("local", {"local": 1, "dedicated-vllm": 0, "modal": 0}),
        ):
            mover.move_to(provider)
            load.wait_for(6, provider=provider)
            assert (load.failures, mover.left()) == ([], left)
    answered = Counter(answer.provider for answer in load.answers)
    assert [provider for provider in TIERS if answered[provider] < 6] == []
    project.takeover("destroy", "--stack", "dev", "--yes")
    assert mover.left() == {"local": 0, "dedicated-vllm": 0, "modal": 0}
