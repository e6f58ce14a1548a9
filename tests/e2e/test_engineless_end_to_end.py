"""The same job where no engine can be had: `takeover deploy` and `takeover destroy`, with a file of outputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from e2e.conftest import ScratchProject
from e2e.load import Load
from fakes.artifacts import make_adapter

from takeover.adapter import Adapter
from takeover.client import Client

pytestmark = [pytest.mark.slow]


def test_an_endpoint_lives_from_deploy_to_destroy_and_loses_no_request(
    project: ScratchProject, second: Adapter, tmp_path: Path
) -> None:
    file = tmp_path / "endpoint.json"
    first = make_adapter(tmp_path / "support-tone", seed=1)

    def deploy(adapter: Adapter) -> None:
        project.takeover("deploy", "--provider", "local", "--adapter", str(adapter.path), "--outputs", str(file))

    deploy(first)
    assert len(project.servers()) == 1
    assert json.loads(file.read_text())["model"] == first.served_name
    assert file.stat().st_mode & 0o777 == 0o600
    project.takeover("ask", "Hello?", "--outputs", str(file), "--max-tokens", "4")

    with Load(lambda: Client.from_file(file), pause_s=0.02) as load:
        deploy(second)
        load.wait_for(8)
    assert load.failures == []
    assert json.loads(file.read_text())["model"] == second.served_name

    project.kill_servers()
    deploy(second)
    assert len(project.servers()) == 1
    project.takeover("ask", "Hello?", "--outputs", str(file), "--max-tokens", "4")

    project.takeover("destroy", "--outputs", str(file))
    assert project.servers() == []
    assert not file.exists()
    project.takeover("destroy", "--outputs", str(file))
