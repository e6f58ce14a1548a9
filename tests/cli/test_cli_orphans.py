"""`takeover orphans`: what carries our label and is in no state and no outputs file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fakes.modal_server import FakeModal
from fakes.modal_state import App
from modal_proto import api_pb2
from typer.testing import CliRunner

from takeover.cli import app
from takeover.engine import _desk, orphans
from takeover.engine.orphans import Orphan, Unseen
from takeover.engine.running import ENDPOINT_TYPE
from takeover.errors import AuthError, Refused
from takeover.modal_contract import AdapterRef
from takeover.providers._base import Endpoint
from takeover.providers._modal_record import Record, encode
from takeover.tiers import all_tiers, tier

STATE = {
    "resources": [{"type": ENDPOINT_TYPE, "inputs": {"spec": {"name": "in-a-state"}}}],
    "pending_operations": [
        {"type": "creating", "resource": {"urn": "u::x", "type": "t", "inputs": {"spec": {"name": "half-made"}}}}
    ],
}


@dataclass
class Machine:
    """A home with endpoints of every standing, and a provider that notes what it destroys."""

    home: Path
    outputs: Path
    destroyed: list[str] = field(default_factory=list)

    async def find(self, name: str) -> Endpoint | None:
        return None

    async def destroy(self, endpoint: Endpoint) -> None:
        self.destroyed.append(endpoint.name)


@pytest.fixture
def machine(clean_environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    for name in ("in-a-state", "half-made", "deployed", "lost-its-file", "forgotten"):
        (clean_environment / "endpoints" / name).mkdir(parents=True)
    made = Machine(clean_environment, tmp_path / "there.json")
    made.outputs.touch()
    _desk.note(_desk.Noted("deployed", "local", str(made.outputs)))
    _desk.note(_desk.Noted("lost-its-file", "local", "/gone/away.json"))
    monkeypatch.setattr(orphans, "states_of", lambda _project: ["organization/demo/dev"])
    monkeypatch.setattr(orphans, "read_state", lambda _project, _stack: STATE)
    monkeypatch.setattr(orphans, "provider_for", lambda _name, _cluster: made)
    monkeypatch.setenv("MODAL_CONFIG_PATH", str(tmp_path / "none"))
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    return made


FORGOTTEN = Orphan(
    "local",
    "forgotten",
    "No state and no outputs file that this machine knows names it.",
    "takeover orphans --remove forgotten",
)
UNSEEN = [
    Unseen("modal", "there is no token for Modal"),
    Unseen("dedicated-vllm/kubernetes", "there is no kubeconfig at /nowhere"),
    Unseen("sagemaker", "the region is not known"),
]
LOST = Orphan(
    "local",
    "lost-its-file",
    "`takeover deploy` made it; its outputs, /gone/away.json, are gone or were never written.",
    "takeover destroy --outputs /gone/away.json",
)


def test_every_tier_can_be_listed() -> None:
    """Pods on EKS are found as those on any cluster are."""
    assert {tier(*row.split("/")).provider for row in orphans.LISTINGS} == {each.provider for each in all_tiers()}


def test_what_no_state_and_no_file_names_is_left_over(machine: Machine) -> None:
    assert orphans.look() == ([FORGOTTEN, LOST], UNSEEN)


def test_records_of_vllm_are_looked_at(machine: Machine) -> None:
    (machine.home / "dedicated-vllm" / "endpoints").mkdir(parents=True)
    (machine.home / "dedicated-vllm" / "endpoints" / "adapters-of-nobody.json").write_text("{}")
    found, _ = orphans.look()
    assert [(each.provider, each.name) for each in found][2:] == [("dedicated-vllm/existing", "adapters-of-nobody")]


def test_the_command_lists_them_and_removes_one_by_name(machine: Machine) -> None:
    listed = CliRunner().invoke(app, ["orphans", "--json"], catch_exceptions=False)
    assert [each["name"] for each in json.loads(listed.stdout)["orphans"]] == ["forgotten", "lost-its-file"]
    removed = CliRunner().invoke(app, ["orphans", "--remove", "forgotten"], catch_exceptions=False)
    assert (removed.exit_code, machine.destroyed) == (0, ["forgotten"])


@pytest.mark.parametrize("name", ["in-a-state", "half-made", "deployed", "nothing"])
def test_what_is_no_orphan_is_not_removed(machine: Machine, name: str) -> None:
    with pytest.raises(Refused, match="is no orphan"):
        CliRunner().invoke(app, ["orphans", "--remove", name], catch_exceptions=False)
    assert machine.destroyed == []


def test_apps_on_modal_with_our_tags_are_listed_by_the_real_command(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = encode(Record((AdapterRef(name="tone", digest="sha256:" + "a" * 64),)))
    with FakeModal() as modal:
        for variable, value in modal.environment.items():
            monkeypatch.setenv(variable, value)
        for mark, name, tags in (("ap-1", "ours", ours), ("ap-2", "theirs", {})):
            modal.state.apps[mark] = App(mark, name, tags, state=api_pb2.APP_STATE_DEPLOYED)
        names = list(orphans.LISTINGS["modal"]())
        assert modal.violations == []
        modal.token_expired = True
        with pytest.raises(AuthError):
            list(orphans.LISTINGS["modal"]())
    assert names == ["ours"]
