"""`takeover doctor`: each finding with its fix, credentials asked by one cheap read, and no secret in any word."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass

import pytest
from fakes.canned import canned
from fakes.modal_server import TOKEN_SECRET, FakeModal
from fakes.vllm_server import KEY, VllmCluster
from typer.testing import CliRunner

from takeover.cli import app
from takeover.engine import doctor
from takeover.engine.doctor import CHECKS, Case, Check, Finding, examine
from takeover.errors import AuthError
from takeover.tiers import TIERS, all_tiers

TOKEN = "hf_that-must-not-be-seen"


def look(name: str, tier: str | None = None) -> Finding:
    """One check of the registry, as the command runs it."""
    checks = [check for check in CHECKS if check.name == name]
    (finding,) = examine(Case(tier and "demo", TIERS[tier] if tier else None), checks)
    return finding


def test_every_tier_with_credentials_has_a_check_that_asks_for_them() -> None:
    with_variables = {record.row for record in all_tiers() if record.environment_variables}
    assert with_variables - {row for check in CHECKS for row in check.tiers} == set()


def test_a_tier_s_checks_are_for_its_stacks_and_for_who_has_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(case: Case) -> set[tuple[str, ...]]:
        return {check.tiers for check in CHECKS if check.applies(case)}

    assert chosen(Case()) == {(), ("local",)}
    monkeypatch.setenv("VLLM_CLUSTER_URL", "http://127.0.0.1:9")
    assert chosen(Case()) == {(), ("local",), ("dedicated-vllm/existing",)}
    assert chosen(Case("staging", TIERS["modal"])) == {(), ("modal",)}


def test_a_check_that_hangs_ends_at_its_own_time_and_holds_nobody_up() -> None:
    never = threading.Event()
    hanging = Check("slow", lambda _case: ("good", str(never.wait(30)), ""), timeout_s=0.05)
    quick = Check("quick", lambda _case: ("good", "here", ""))
    found = examine(Case(), [hanging, quick])
    never.set()
    assert [finding.said for finding in found] == ["no answer in 0.05 s", "here"]
    assert found[0].level == "problem"


def fail(error: Exception) -> Check:
    def raise_it(_case: Case) -> tuple[doctor.Level, str, str]:
        raise error

    return Check("broken", raise_it)


def test_an_error_of_ours_is_a_finding_with_its_fix_and_a_stranger_s_is_not_quoted() -> None:
    ours = fail(AuthError("no key", why="It expired.", fix="Make another."))
    assert examine(Case(), [ours]) == [Finding("broken", "problem", "no key. It expired.", "Make another.")]
    (stranger,) = examine(Case(), [fail(RuntimeError(f"bad token {TOKEN}"))])
    assert stranger.said == "the check broke (RuntimeError)"


def test_the_vllm_server_is_asked_for_its_models(monkeypatch: pytest.MonkeyPatch) -> None:
    with VllmCluster() as cluster:
        monkeypatch.setenv("VLLM_CLUSTER_URL", cluster.url)
        monkeypatch.setenv("VLLM_API_KEY", KEY)
        good = look("vLLM server")
        monkeypatch.setenv("VLLM_API_KEY", "another-that-must-not-be-seen")
        bad = look("vLLM server")
        assert cluster.violations == []
        asked = {(method, path) for _, method, path in cluster.requests}
    assert (good.level, good.said) == ("good", f"{cluster.url} serves 1 model")
    assert bad.level == "problem"
    assert "another-that-must-not-be-seen" not in str(bad)
    assert asked == {("GET", "/v1/models")}


def test_a_stack_on_vllm_without_an_address_is_told_which_variable() -> None:
    found = look("vLLM server", "dedicated-vllm")
    assert (found.level, found.said.split(". ")[0]) == ("problem", "VLLM_CLUSTER_URL: VLLM_CLUSTER_URL is not set")
    assert "export VLLM_CLUSTER_URL=" in found.fix


def test_modal_is_greeted_with_the_token(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("MODAL_CONFIG_PATH", f"{tmp_path}/none")
    assert "no token for Modal" in look("Modal's token", "modal").said
    with FakeModal() as modal:
        for variable, value in modal.environment.items():
            monkeypatch.setenv(variable, value)
        good = look("Modal's token")
        modal.token_expired = True
        bad = look("Modal's token")
        assert modal.violations == []
        assert set(modal.calls) == {"ClientHello"}
    assert (good.level, good.said) == ("good", "Modal accepts the token")
    assert bad.level == "problem"
    assert TOKEN_SECRET not in str((good, bad))


@dataclass(frozen=True)
class Hub:
    id: str
    status: int
    body: str
    level: str
    said: str


HUB = (
    Hub("a token that the Hub knows", 200, '{"type": "user", "name": "ada"}', "good", "the token is ada's"),
    Hub("a token that expired", 401, '{"error": "expired"}', "problem", "does not accept the token"),
    Hub("a Hub that is down", 503, "down", "problem", "could not be asked"),
)


@pytest.mark.parametrize("case", HUB, ids=lambda case: case.id)
def test_the_hub_is_asked_whose_token_it_is(case: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with canned(case.status, case.body, {"Content-Type": "application/json"}) as root:
        monkeypatch.setenv("HF_ENDPOINT", root)
        found = look("Hugging Face Hub")
    assert found.level == case.level
    assert case.said in found.said
    assert TOKEN not in str(found)


def test_the_command_prints_each_finding_with_its_fix_and_ends_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = (Check("one", lambda _case: ("good", "is well", "")), fail(AuthError("no key", fix="Make one.")))
    monkeypatch.setattr(doctor, "CHECKS", checks)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 2
    assert result.stdout == (
        "ok    one               is well\nFAIL  broken            no key\n                        Make one.\n"
    )
    monkeypatch.setattr(doctor, "CHECKS", checks[:1])
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == [{"check": "one", "level": "good", "said": "is well", "fix": ""}]


def test_a_stack_whose_settings_are_wrong_is_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(doctor, "CHECKS", ())
    monkeypatch.chdir(str(tmp_path))
    result = CliRunner().invoke(app, ["doctor", "--stack", "nowhere", "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)[0]["check"] == "settings"
