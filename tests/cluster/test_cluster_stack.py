"""A whole stack on a real control plane: the real engine, the real plugin of pulumi-kubernetes, `takeover up`.

The plugin is on no registry: these run where `pulumi-resource-kubernetes` is on PATH, built outside of the tree from
its public source. A user's Pulumi downloads it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cluster_ground import BASE
from control_plane import ControlPlane
from fakes.artifacts import make_adapter

from takeover.adapter import Adapter
from takeover.engine import binary

pytestmark = [pytest.mark.cluster, pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
TAKEOVER = Path(sys.executable).parent / "takeover"
KEY = "a-key-of-this-test-that-must-not-be-seen"
STACK = """\
config:
  takeover:hosting: {{environment: development, provider: dedicated-vllm, cluster: kubernetes}}
  takeover:adapter:
    source: {source}
    digest: {digest}
  takeover:kubernetes:
    expectedCluster: {server}
    gpu: L40S
    contextLength: 4096
    concurrency: 4
    scaler: none
    monitoring: none
"""


@dataclass(frozen=True)
class Stack:
    """A project with one stack on this cluster."""

    root: Path
    environment: Mapping[str, str]
    plane: ControlPlane

    def use(self, adapter: Adapter) -> None:
        """The stack names it; it lies in the cache, as if it had been pulled before."""
        content = adapter.digest.removeprefix("sha256:")
        source = f"hf://acme/tone@{content[:40]}"
        kept = Path(self.environment["TAKEOVER_CACHE"]) / "adapters"
        shutil.copytree(adapter.path, kept / content, dirs_exist_ok=True)
        note = kept / "from" / f"{hashlib.sha256(source.encode()).hexdigest()[:32]}.json"
        note.parent.mkdir(exist_ok=True)
        note.write_text(json.dumps({"folder": content}))
        text = STACK.format(source=source, digest=adapter.digest, server=self.plane.url)
        (self.root / "Pulumi.pods.yaml").write_text(text)

    def takeover(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [str(TAKEOVER), *arguments, "--stack", "pods"]
        done = subprocess.run(
            command, cwd=self.root, env=dict(self.environment), capture_output=True, text=True, timeout=300
        )
        assert done.returncode == code, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        assert KEY not in done.stdout + done.stderr
        return done

    def outputs(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.takeover("outputs", "--json").stdout)
        return found

    def deployments(self) -> list[dict[str, Any]]:
        label = "?labelSelector=takeover.dev/stack=pods"
        return list(self.plane.kube.items(f"/apis/apps/v1/deployments{label}"))


@pytest.fixture
def stack(plane: ControlPlane, tmp_path: Path) -> Iterator[Stack]:
    if shutil.which("pulumi-resource-kubernetes") is None:
        pytest.skip("the plugin pulumi-resource-kubernetes is not on PATH")
    engine = binary.find([])
    assert engine is not None, "takeover engine install"
    root = tmp_path / "project"
    root.mkdir()
    shutil.copy(ROOT / "Pulumi.yaml", root)
    (root / "plugin").symlink_to(ROOT / "plugin")
    environment = {
        **os.environ,
        "PATH": f"{engine.path.parent}{os.pathsep}{os.environ['PATH']}",
        "TAKEOVER_HOME": str(tmp_path / "home"),
        "TAKEOVER_CACHE": str(tmp_path / "cache"),
        "TAKEOVER_PYTHON": sys.executable,
        "TAKEOVER_API_KEY": KEY,
        "KUBECONFIG": str(plane.kubeconfig),
        "HF_HUB_OFFLINE": "1",
    }
    made = Stack(root, environment, plane)
    yield made
    if made.deployments():
        made.takeover("destroy", "--yes")


def test_a_stack_goes_up_changes_its_adapter_and_goes_down(stack: Stack, tmp_path: Path) -> None:
    facts = {"name": "tone", "base": BASE, "base_revision": BASE[-40:]}
    first, second = (make_adapter(tmp_path / f"tone-{seed}", seed=seed, **facts) for seed in (1, 2))
    stack.use(first)
    stack.takeover("up")
    (deployment,) = stack.deployments()
    assert deployment["metadata"]["annotations"]["takeover.dev/digests"] == first.digest
    assert deployment["status"]["readyReplicas"] == 1
    outputs = stack.outputs()
    assert (outputs["provider"], outputs["cluster"], outputs["digest"]) == (
        "dedicated-vllm",
        "kubernetes",
        first.digest,
    )
    status = stack.takeover("status")
    assert first.digest in status.stdout + status.stderr
    # Nothing is left to change, also after a look at the cluster.
    stack.takeover("refresh")
    assert re.search(r"^preview pods: \d+ unchanged, \d+ s$", stack.takeover("preview").stderr, re.MULTILINE)
    stack.use(second)
    stack.takeover("up")
    (changed,) = stack.deployments()
    assert changed["metadata"]["uid"] == deployment["metadata"]["uid"]
    assert changed["metadata"]["annotations"]["takeover.dev/digests"] == second.digest
    assert stack.outputs()["digest"] == second.digest
    stack.takeover("destroy", "--yes")
    assert stack.deployments() == []
