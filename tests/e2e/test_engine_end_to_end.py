"""The main job through the real engine: up, ask, change, break, mend, down."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from e2e.conftest import ScratchProject
from e2e.load import Load

from takeover.adapter import Adapter
from takeover.client import Client

pytestmark = [pytest.mark.slow, pytest.mark.engine, pytest.mark.usefixtures("engine")]


def test_a_stack_lives_from_up_to_destroy_and_loses_no_request(
    project: ScratchProject, first: Adapter, second: Adapter, tmp_path: Path
) -> None:
    project.use(first)
    shown = project.takeover("preview", "--stack", "dev").stderr
    assert first.served_name in shown
    assert "0 USD" in shown
    assert project.servers() == []
    stack_file = (project.root / "Pulumi.dev.yaml").read_bytes()

    up = project.takeover("up", "--stack", "dev")
    outputs = project.outputs()
    key = outputs["apiKey"]
    assert (outputs["model"], outputs["digest"]) == (first.served_name, first.digest)
    assert len(project.servers()) == 1
    assert len(key) >= 32
    assert (project.root / "Pulumi.dev.yaml").read_bytes() == stack_file

    reply = json.loads(project.takeover("ask", "Hello?", "--stack", "dev", "--max-tokens", "4", "--json").stdout)
    assert reply["model"] == first.served_name

    # A new digest under load: every answer comes, from the old version or from the new one.
    file = tmp_path / "endpoint.json"
    file.write_text(json.dumps(outputs))
    project.use(second)
    with Load(lambda: Client.from_file(file), pause_s=0.02) as load:
        project.takeover("up", "--stack", "dev")
        file.write_text(json.dumps(project.outputs()))
        retired_by = time.monotonic() + 60
        while second.served_name not in load.models[-4:] and time.monotonic() < retired_by:
            load.wait_for(4)
        load.wait_for(8)
    assert load.failures == []
    assert set(load.models) == {first.served_name, second.served_name}
    assert project.outputs()["url"] == outputs["url"]

    # Somebody kills the server: refresh sees it, the next up mends it, under the same address.
    project.kill_servers()
    assert project.takeover("status", "--stack", "dev", check=False).returncode == 4
    project.takeover("refresh", "--stack", "dev")
    project.takeover("up", "--stack", "dev")
    assert len(project.servers()) == 1
    project.takeover("ask", "Hello?", "--stack", "dev", "--max-tokens", "4")
    unchanged = json.loads(project.takeover("preview", "--stack", "dev", "--json").stdout)
    assert set(unchanged["changes"]) == {"same"}

    # The key is in no text that a person or a log sees, and in the state only as ciphertext.
    exported = project.takeover("pulumi", "stack", "export", "--stack", "dev").stdout
    assert "ciphertext" in exported
    logs = [path.read_text(errors="replace") for path in Path(project.environment["TAKEOVER_HOME"]).rglob("*.log")]
    seen = [shown, up.stdout, up.stderr, exported, project.takeover("outputs", "--stack", "dev").stdout, *logs]
    assert [text for text in seen if key in text] == []

    project.takeover("destroy", "--stack", "dev", "--yes")
    assert project.servers() == []
    assert project.takeover("outputs", "--stack", "dev", check=False).returncode == 2


@pytest.mark.parametrize("moment_s", [1.5, 4.0])
def test_an_engine_killed_in_the_middle_of_up_leaves_one_server_after_the_next_up(
    project: ScratchProject, first: Adapter, moment_s: float
) -> None:
    project.use(first)
    killed = project.start("up", "--stack", "dev")
    time.sleep(moment_s)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait(10)

    project.takeover("up", "--stack", "dev")
    assert len(project.servers()) == 1
    project.takeover("destroy", "--stack", "dev", "--yes")
    assert project.servers() == []


def test_a_second_up_at_the_same_time_is_refused_and_harms_nothing(project: ScratchProject, first: Adapter) -> None:
    project.use(first)
    project.serve_by_stand_in()
    running = project.start("up", "--stack", "dev")
    locks = Path(project.environment["TAKEOVER_HOME"]) / "state"
    end = time.monotonic() + 30
    while not any(locks.rglob("locks/**/*.json")) and time.monotonic() < end:
        time.sleep(0.02)
    refused = project.takeover("up", "--stack", "dev", check=False)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert running.wait(120) == 0
    assert len(project.servers()) == 1
    project.takeover("destroy", "--stack", "dev", "--yes")
