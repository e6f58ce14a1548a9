"""A production stack on servers of others, through the real engine, the real program and the real plugin."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.artifacts import make_adapter
from fakes.vllm_server import KEY, VllmCluster, vllm_cluster

from components.program import program
from takeover.adapter import Adapter
from takeover.engine.stacks import Outcome, StackDriver
from takeover.errors import Refusals, Refused, TakeoverError

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]
TOKEN = "takeover:index:Endpoint"
STACK = """\
config:
  takeover:hosting:
    environment: production
    provider: dedicated-vllm
    cluster: {cluster}
    minReplicas: 2
    maxReplicas: 10
    targetLatencyMs: 200
    protect: {protect}
  takeover:adapter:
    source: {source}
    digest: {digest}
  takeover:dedicated-vllm:
    replicaUrls: {urls}
    drainSeconds: {drain}
"""


@dataclass
class Stack:
    """The stack `prod` of a project of the test's own, at two replicas."""

    root: Path
    cluster: VllmCluster
    protect: str = "false"
    drain: int = 0
    kind: str = "existing"

    def use(self, seed: int) -> Adapter:
        path = self.root / "adapters" / f"tone-{seed}"
        adapter = make_adapter(path, name="tone", seed=seed)
        self.write(adapter)
        return adapter

    def write(self, adapter: Adapter) -> None:
        text = STACK.format(
            cluster=self.kind,
            protect=self.protect,
            source=adapter.path,
            digest=adapter.digest,
            urls=json.dumps(self.cluster.urls),
            drain=self.drain,
        )
        (self.root / "Pulumi.prod.yaml").write_text(text)

    def driver(self) -> StackDriver:
        return StackDriver("prod", program, project_dir=self.root)

    def endpoint(self) -> dict[str, Any]:
        """The one endpoint as the engine's state has it."""
        [found] = [each for each in self.driver().export()["resources"] if each["type"] == TOKEN]
        return dict(found["outputs"])


def steps(outcome: Outcome) -> list[tuple[str, tuple[str, ...]]]:
    return [(step.op, tuple(step.changed)) for step in outcome.steps if step.type == TOKEN and step.op != "same"]


@pytest.fixture
def stack(engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    root = tmp_path / "project"
    root.mkdir()
    (root / "Pulumi.yaml").write_text(
        "name: takeover\nruntime: python\nplugins:\n  providers:\n"
        f"    - name: takeover\n      path: {json.dumps(str(ROOT / 'plugin'))}\n"
    )
    with vllm_cluster(replicas=2) as cluster:
        variables = {
            "PULUMI_HOME": str(tmp_path / "pulumi-home"),
            "TAKEOVER_HOME": str(tmp_path / "home"),
            "TAKEOVER_PYTHON": sys.executable,
            "VLLM_CLUSTER_URL": cluster.url,
            "VLLM_API_KEY": KEY,
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(root)
        yield Stack(root, cluster)


def test_a_stack_lives_through_a_change_a_restarted_replica_and_its_end(stack: Stack) -> None:
    old = stack.use(1)
    seen = stack.driver().preview()
    assert steps(seen)[0][0] == "create"
    said = "\n".join(message.text for message in seen.messages)
    assert "loaded beside what is served" in said
    assert "0 USD a month more" in said
    assert stack.cluster.names() == [[], []]

    done = stack.driver().up()
    assert stack.cluster.names() == [[old.served_name]] * 2
    endpoint = done.outputs["endpoint"]
    assert (endpoint["url"], endpoint["model"], endpoint["replicas"]) == (
        f"{stack.cluster.url}/v1",
        old.served_name,
        {"min": 2, "max": 10, "ready": 2},
    )
    assert stack.driver().outputs(show_secrets=True)["endpoint"]["apiKey"] == KEY
    told = "\n".join(message.text for message in done.messages)
    assert KEY not in json.dumps(stack.driver().export()) + repr(done) + told

    new = stack.use(2)
    changed = stack.driver().up()
    assert [op for op, _ in steps(changed)] == ["update"]
    assert changed.outputs["endpoint"]["model"] == new.served_name
    assert stack.cluster.names() == [[new.served_name]] * 2

    stack.cluster.replicas[1].restart()
    stack.driver().refresh()
    assert (stack.endpoint()["healthy"], stack.endpoint()["digests"]) == (False, [])
    assert steps(stack.driver().preview()) == [("update", ("digests", "healthy"))]
    stack.driver().up()
    assert stack.cluster.names() == [[new.served_name]] * 2
    assert steps(stack.driver().preview()) == []

    stack.driver().destroy()
    assert stack.cluster.names() == [[], []]


def test_a_version_that_was_replaced_is_drift_once_it_is_due_and_the_next_up_unloads_it(stack: Stack) -> None:
    stack.drain = 1
    old = stack.use(1)
    stack.driver().up()
    new = stack.use(2)
    stack.driver().up()
    assert stack.cluster.names() == [sorted([old.served_name, new.served_name])] * 2
    assert steps(stack.driver().preview()) == []
    stack.driver().refresh()
    assert stack.endpoint()["digests"] == [new.digest, old.digest]
    stack.driver().up()
    assert stack.cluster.names() == [[new.served_name]] * 2


def test_what_is_protected_is_not_deleted_and_says_so(stack: Stack) -> None:
    stack.protect = "true"
    adapter = stack.use(1)
    stack.driver().up()
    with pytest.raises(TakeoverError, match="protect"):
        stack.driver().destroy()
    assert stack.cluster.names() == [[adapter.served_name]] * 2
    stack.protect = "false"
    stack.write(adapter)
    stack.driver().up()
    stack.driver().destroy()
    assert stack.cluster.names() == [[], []]


def test_what_cannot_be_is_refused_in_the_preview_all_at_once(stack: Stack) -> None:
    stack.kind = "runpod"
    stack.use(1)
    with pytest.raises(Refusals, match="a cluster of the kind runpod is not built yet"):
        stack.driver().preview()


def test_a_deploy_that_a_server_refuses_is_told_as_it_is_and_leaves_nothing(stack: Stack) -> None:
    stack.cluster.runtime_updates = False
    stack.use(1)
    with pytest.raises(Refused, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"):
        stack.driver().up()
    assert [each for each in stack.driver().export().get("resources", []) if each["type"] == TOKEN] == []
