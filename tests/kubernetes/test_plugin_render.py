"""The component through the real plugin of pulumi-kubernetes, which writes YAML in place of asking a cluster."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from kube_servings import GIVEN
from pulumi import automation as auto

from components.kubernetes import declare
from components.kubernetes.key import ApiKey
from takeover.kubernetes import manifests

pytestmark = [pytest.mark.engine, pytest.mark.slow]

KEY = "a-key-that-is-long-enough-for-this"


def by_name(found: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def plain(value: Any) -> Any:
    """Without what the plugin adds for itself, and whole numbers as such."""
    if isinstance(value, dict):
        kept = {key: plain(each) for key, each in value.items() if not key.startswith("pulumi.com/")}
        return {key: each for key, each in kept.items() if (key, each) != ("annotations", {})}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@pytest.mark.parametrize("name", ["minimal", "full"])
def test_the_plugin_writes_what_the_builders_made(
    name: str, engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("pulumi-resource-kubernetes") is None:
        pytest.skip("the plugin pulumi-resource-kubernetes is not on PATH")
    import pulumi_kubernetes as kubernetes

    monkeypatch.setenv("PATH", f"{engine.parent}{os.pathsep}{os.environ['PATH']}")
    serving = GIVEN[name].serving()
    written = tmp_path / "written"

    def program() -> None:
        provider = kubernetes.Provider("yaml", render_yaml_to_directory=str(written))
        parent = pulumi.ComponentResource("takeover:hosting:KubernetesVllm", "hosting")
        declare(serving, ApiKey("environment", KEY), provider=provider, parent=parent)

    (tmp_path / "state").mkdir()
    options = auto.LocalWorkspaceOptions(
        work_dir=str(tmp_path),
        env_vars={
            "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        },
    )
    stack = auto.create_or_select_stack("render", project_name="demo", program=program, opts=options)
    stack.up()
    files = [yaml.safe_load(path.read_text()) for path in written.rglob("*.yaml")]
    found, wanted = by_name(files), by_name(manifests(serving))
    assert set(found) - set(wanted) <= {("Secret", f"{serving.name}-key")}
    assert {key: plain(found[key]) for key in wanted} == {key: plain(each) for key, each in wanted.items()}
