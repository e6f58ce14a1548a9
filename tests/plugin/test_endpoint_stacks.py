"""`takeover:index:Endpoint` in stacks of the real engine."""

from __future__ import annotations

import json
import shutil

import pulumi
import pytest
from stack_project import TOKEN, StackProject, make_endpoint

from takeover.engine.stacks import Outcome
from takeover.errors import Refused, TakeoverError

pytestmark = pytest.mark.engine


def operations(outcome: Outcome) -> list[tuple[str, str]]:
    return [(step.op, step.name) for step in outcome.steps if step.type == TOKEN]


def test_a_preview_with_inputs_that_are_not_known_yet_makes_nothing_and_the_up_makes_all(project: StackProject) -> None:
    def program() -> None:
        first = make_endpoint("first", project.models(), project.spec)
        labels = {"beside": pulumi.get(first, "url")}
        spec = {"name": "demo-dev-2", "base": "tiny", "labels": labels}
        second = make_endpoint("second", project.models(), spec)
        pulumi.export("labels", pulumi.get(second, "spec")["labels"])

    project.program = program
    seen = project.driver().preview()
    assert operations(seen) == [("create", "first"), ("create", "second")]
    assert project.servers() == []
    done = project.up()
    assert len(project.servers()) == 2
    assert done.outputs["labels"]["beside"].startswith("http://127.0.0.1:")


def test_a_half_made_endpoint_keeps_its_id_and_is_mended_by_the_next_up(
    project: StackProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("TAKEOVER_FAKE_DIES", "there is no memory for the base")
        with pytest.raises(TakeoverError, match="there is no memory for the base"):
            project.up()
    half = project.resource()
    assert (half["id"], half["outputs"]["healthy"]) == ("local/demo-dev-1", False)
    assert "there is no memory for the base" in half["initErrors"][0]
    assert operations(project.up()) == [("update", "endpoint")]
    mended = project.resource()
    assert (mended["id"], mended["outputs"]["healthy"]) == ("local/demo-dev-1", True)
    assert "initErrors" not in mended


def test_a_half_made_endpoint_is_removed_by_destroy(project: StackProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAKEOVER_FAKE_DIES", "there is no memory for the base")
    with pytest.raises(TakeoverError):
        project.up()
    project.driver().destroy()
    assert list((project.home / "endpoints").iterdir()) == []


def test_a_failed_update_keeps_what_answers_and_is_made_good_by_the_next_up(
    project: StackProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.up()
    project.marks = "ab"
    (project.models_folder("b") / "manifest.json").write_text('{"digest": "another"}')
    with pytest.raises(TakeoverError, match="is not the name of another"):
        project.up()
    assert project.resource()["outputs"]["digests"] == ["sha256:" + "a" * 64]
    project.models_folder("b").joinpath("manifest.json").unlink()
    assert operations(project.up()) == [("update", "endpoint")]
    assert project.resource()["outputs"]["digests"] == ["sha256:" + "a" * 64, "sha256:" + "b" * 64]


@pytest.mark.slow
def test_an_endpoint_lives_from_up_over_a_crash_and_a_removal_to_destroy(project: StackProject) -> None:
    first = project.up()
    assert dict(project.driver().preview().changes) == {"same": 2}
    assert_the_key_is_hidden(project, first)

    project.kill_servers()
    project.driver().refresh()
    seen = project.driver().preview()
    assert [step.changed for step in seen.steps if step.type == TOKEN] == [("digests", "healthy")]
    mended = project.up()
    assert operations(mended) == [("update", "endpoint")]
    assert mended.outputs["endpoint"]["url"] == first.outputs["endpoint"]["url"]
    assert len(project.servers()) == 1

    shutil.rmtree(project.home / "endpoints" / "demo-dev-1")
    project.driver().refresh()
    assert operations(project.up()) == [("create", "endpoint")]
    assert len(project.servers()) == 1

    project.driver().destroy()
    assert project.servers() == []
    assert list((project.home / "endpoints").iterdir()) == []
    assert [each for each in project.driver().export().get("resources", []) if each["type"] == TOKEN] == []


def assert_the_key_is_hidden(project: StackProject, done: Outcome) -> None:
    """It is ciphertext in the state, and neither in a log nor in a message."""
    key = (project.home / "endpoints" / "demo-dev-1" / "key").read_text()
    state = json.dumps(project.driver().export())
    logs = "\n".join(path.read_text(errors="replace") for path in project.home.rglob("*.log"))
    told = "\n".join(message.text for message in done.messages)
    assert "ciphertext" in state
    assert [text for text in (state, logs, told, repr(done)) if key in text] == []
    assert project.driver().outputs(show_secrets=True)["endpoint"]["apiKey"] == key


def test_another_version_is_an_update_and_another_base_a_new_endpoint_before_the_old_one_goes(
    project: StackProject,
) -> None:
    project.up()
    [before] = project.servers()
    project.marks = "b"
    assert operations(project.up()) == [("update", "endpoint")]
    assert project.servers() == [before]
    project.spec = {"name": "demo-dev-2", "base": "other"}
    assert [op for op, _ in operations(project.up())] == ["create-replacement", "delete-replaced"]
    [after] = project.servers()
    assert after != before
    assert [path.name for path in (project.home / "endpoints").iterdir()] == ["demo-dev-2"]


def test_what_cannot_be_deployed_is_refused_in_the_preview_all_at_once(project: StackProject) -> None:
    project.spec = {**project.spec, "maxReplicas": 2, "gpu": 1}
    with pytest.raises(Refused, match="gpu"):
        project.driver().preview()
    project.spec = {"name": "demo-dev-1", "base": "tiny", "maxReplicas": 2, "minReplicas": 0}
    with pytest.raises(Refused) as caught:
        project.driver().preview()
    assert "local does not offer more than one replica" in str(caught.value)
    assert "local does not offer scale to zero" in str(caught.value)
