"""The stack `staging` as it stands in this clone, by the commands that a user types."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.artifacts import make_adapter
from fakes.modal_server import TOKEN_SECRET, FakeModal
from modal_stack import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.engine]

TAKEOVER = Path(sys.executable).with_name("takeover")
PATIENCE_S = 120


def takeover(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(TAKEOVER), *arguments],
        cwd=root,
        env={**os.environ, "TAKEOVER_PYTHON": sys.executable},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


@pytest.mark.usefixtures("engine", "command_plugin")
def test_the_staging_stack_goes_up_on_modal_answers_and_goes_down(modal: FakeModal, tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    for name in ("Pulumi.yaml", "Pulumi.staging.yaml"):
        shutil.copy(ROOT / name, root)
    (root / "plugin").symlink_to(ROOT / "plugin")
    adapter = make_adapter(root / "adapters" / "support-tone", seed=1)

    refused = takeover(root, "preview", "--stack", "staging")
    assert (refused.returncode, "takeover:adapter.digest is missing" in refused.stderr) == (2, True)
    assert takeover(root, "adapter", "use", "adapters/support-tone", "--stack", "staging").returncode == 0

    preview = takeover(root, "preview", "--stack", "staging")
    assert preview.returncode == 0, preview.stderr
    shown = preview.stdout + preview.stderr
    assert [
        words for words in (adapter.served_name, "1.95 USD an hour", "redeploys the app") if words not in shown
    ] == []
    assert modal.calls == []

    up = takeover(root, "up", "--stack", "staging")
    assert up.returncode == 0, up.stderr
    outputs = json.loads(takeover(root, "outputs", "--stack", "staging", "--json").stdout)
    assert (outputs["provider"], outputs["model"], outputs["apiKey"]) == ("modal", adapter.served_name, "[secret]")
    assert outputs["coldStart"]["measuredMs"] is not None
    assert outputs["replicas"] == {"min": 0, "max": 2, "ready": 1}
    asked = takeover(root, "ask", "Hello?", "--stack", "staging", "--json", "--max-tokens", "4")
    assert (asked.returncode, adapter.served_name in asked.stdout) == (0, True)

    streamed = takeover(root, "ask", "Hello?", "--stack", "staging", "--max-tokens", "4")
    assert (streamed.returncode, streamed.stdout) == (0, f"{adapter.served_name} says: Hello?\n")

    down = takeover(root, "destroy", "--stack", "staging", "--yes")
    assert down.returncode == 0, down.stderr
    assert [app.name for app in modal.state.apps.values() if app.is_running] == []
    everything = "".join(done.stdout + done.stderr for done in (refused, preview, up, asked, down))
    assert (TOKEN_SECRET in everything, "Traceback" in everything) == (False, False)
