"""The driver on Pulumi's real engine, with a file backend and a provider of the tests' own."""

from __future__ import annotations

import json
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest
from engine_project import SlowProject, engine_under
from slow_program import SECRET, program

from takeover.engine.stacks import stack_outputs
from takeover.errors import Refused, TakeoverError, VendorError

pytestmark = pytest.mark.engine

MASKED = {"endpoint": {"url": "http://127.0.0.1:9/v1", "apiKey": "[secret]"}}


def test_a_stack_is_previewed_put_up_refreshed_and_taken_down(project: SlowProject) -> None:
    driver = project.driver(program)
    planned = driver.preview()
    assert [(step.op, step.name) for step in planned.steps] == [("create", "thing")]
    assert [said.text for said in planned.messages] == ["will serve one thing"]
    assert project.made() == []

    done = driver.up()
    assert (dict(done.changes), done.outputs) == ({"create": 2}, MASKED)
    assert project.made() == ["thing.thing"]
    assert dict(driver.up().changes) == {"same": 2}
    assert dict(driver.refresh().changes) == {"same": 2}

    assert dict(driver.destroy().changes) == {"delete": 2}
    assert project.made() == []
    assert project.git_status() == ""


def test_secrets_are_ciphertext_in_the_state_and_masked_elsewhere(project: SlowProject) -> None:
    outcome = project.up(program)
    exported = json.dumps(project.driver(program).export())
    assert SECRET not in exported
    assert "ciphertext" in exported
    assert SECRET not in repr(outcome)
    assert stack_outputs("dev") == MASKED
    assert stack_outputs("dev", show_secrets=True)["endpoint"]["apiKey"] == SECRET
    written = [path for path in project.home.rglob("*") if path.is_file() and SECRET in path.read_text()]
    assert written == []
    assert (project.home / "passphrase").stat().st_mode & 0o777 == 0o600


def test_a_change_says_which_property(project: SlowProject) -> None:
    project.up(program)
    planned = project.driver(partial(program, 2)).preview()
    assert [(step.op, step.changed) for step in planned.steps] == [("update", ("size",))]


def test_a_refusal_of_the_program_comes_out_as_itself(project: SlowProject) -> None:
    refusal = Refused("no such tier", why="There is one.", where="takeover:hosting.provider")

    def refuses() -> None:
        raise refusal

    with pytest.raises(Refused) as caught:
        project.driver(refuses).preview()
    assert caught.value is refusal


def test_a_mistake_in_the_program_has_no_traceback(project: SlowProject) -> None:
    def broken() -> None:
        raise KeyError("nix")

    with pytest.raises(TakeoverError) as caught:
        project.driver(broken).up()
    assert caught.value.happened == "the Pulumi program failed: KeyError: 'nix'"
    assert caught.value.exit_code == 5


def test_a_check_of_the_provider_is_bad_input(project: SlowProject) -> None:
    with pytest.raises(Refused) as caught:
        project.driver(partial(program, -1)).preview()
    assert str(caught.value) == "thing.size: it is below zero"


def test_a_failed_create_is_the_providers_own_words(project: SlowProject) -> None:
    (project.desk / "fail").write_text("the server died\nlast words: no memory")
    with pytest.raises(VendorError) as caught:
        project.up(program)
    assert str(caught.value) == "thing: the server died\n  last words: no memory"
    (project.desk / "fail").unlink()
    assert project.up(program).changes["create"] >= 1
    assert project.made() == ["thing.thing"]


def test_a_second_up_at_the_same_time_is_refused(project: SlowProject) -> None:
    (project.desk / "hold").touch()
    first = project.start_up()
    project.wait_until_creating()
    running = engine_under(first)
    with pytest.raises(Refused, match=f"another update of the stack dev is running \\(pid {running.pid} of "):
        project.up(program)
    (project.desk / "hold").unlink()
    assert first.communicate(timeout=60) == ("{'create': 2}\n", None)


def test_an_up_goes_on_after_the_engine_was_killed(project: SlowProject) -> None:
    (project.desk / "hold").touch()
    killed = project.start_up()
    project.wait_until_creating()
    engine_under(killed).kill()
    said, _ = killed.communicate(timeout=60)
    assert killed.returncode == 5
    assert "the engine was killed (signal 9)\n  The state holds no resource; begun and not finished: thing." in said
    (project.desk / "hold").unlink()

    heard: list[str] = []
    driver = project.driver(program, heard)
    driver.up()
    assert [sentence.partition(" (")[0] for sentence in heard] == ["an earlier run was killed"]
    state = driver.export()
    names = [resource["urn"].rpartition("::")[2] for resource in state["resources"]]
    assert (names, state.get("pending_operations")) == (["takeover-dev", "default", "thing"], None)
    assert project.made() == ["thing.thing"]
    assert dict(driver.up().changes) == {"same": 2}


def test_the_engine_goes_with_a_killed_command(project: SlowProject) -> None:
    (project.desk / "hold").touch()
    killed = project.start_up()
    project.wait_until_creating()
    engine = engine_under(killed)
    killed.kill()
    engine.wait(timeout=10)
    killed.communicate(timeout=10)
    (project.desk / "hold").unlink()
    assert project.up(program).changes["create"] == 1
    assert project.made() == ["thing.thing"]


def test_ctrl_c_stops_the_engine_and_says_what_remains(project: SlowProject) -> None:
    (project.desk / "hold").touch()
    stopped = project.start_up()
    project.wait_until_creating()
    stopped.send_signal(signal.SIGINT)
    (project.desk / "hold").unlink()
    said, _ = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert said.splitlines()[0].startswith("stopping: waiting for what runs")
    assert "stopped; the state holds thing" in said
    assert dict(project.up(program).changes) == {"same": 2}


def test_a_stack_that_is_not_up_says_what_to_type(project: SlowProject) -> None:
    for ask in (lambda: stack_outputs("dev"), project.driver(program).refresh):
        with pytest.raises(Refused, match=r"the stack dev is not up\n.*\n  takeover up --stack dev"):
            ask()
    assert project.driver(program).destroy().changes == {}


def test_a_stack_without_settings_names_those_that_have_them(project: SlowProject) -> None:
    (project.root / "Pulumi.dev.yaml").rename(project.root / "Pulumi.test.yaml")
    with pytest.raises(Refused, match=r"Pulumi.dev.yaml is not in .*; stacks with settings: test\."):
        project.driver(program).preview()


def test_a_passphrase_of_the_users_own_is_kept_to(project: SlowProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "mine")
    project.up(program)
    assert not (project.home / "passphrase").exists()
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "another")
    with pytest.raises(Refused, match="the passphrase does not open the state of dev"):
        stack_outputs("dev", show_secrets=True)


def test_a_salt_in_the_users_settings_is_used(project: SlowProject, engine: Path) -> None:
    project.up(program)
    env = project.driver(program).project.engine_env(engine)
    set_secret = [str(engine), "config", "set", "--secret", "takeover:token", "abc", "--stack", "dev"]
    subprocess.run(set_secret, cwd=project.root, env=env, check=True, capture_output=True)
    settings = (project.root / "Pulumi.dev.yaml").read_text()
    assert "encryptionsalt" in settings
    assert dict(project.up(program).changes) == {"same": 2}
    assert (project.root / "Pulumi.dev.yaml").read_text() == settings
