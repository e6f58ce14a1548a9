"""The Modal stack through the real engine: up, another adapter, drift, refresh, destroy, and a killed engine."""

from __future__ import annotations

import asyncio
import json

import pytest
from fakes.modal_server import TOKEN_SECRET
from modal_stack import COMMAND, ModalStack, engine_under, operations

from plugin.operations import Operations
from takeover.engine.stacks import Outcome, stack_outputs
from takeover.errors import AuthError, VendorError
from takeover.modal_contract import parse_container_settings

pytestmark = pytest.mark.engine
PATIENCE_S = 60


def said(outcome: Outcome) -> str:
    return " ".join(message.text for message in outcome.messages)


def changed(outcome: Outcome, name: str) -> tuple[str, ...]:
    """The properties that change of one resource."""
    [found] = [step.changed for step in outcome.steps if step.name == name and step.changed]
    return found


def served(stack: ModalStack) -> list[str]:
    """The digests that a container would serve now."""
    app = stack.fake.state.deployed(stack.name)
    assert app is not None
    settings = parse_container_settings(stack.fake.state.environment_of(stack.fake.state.service(app).definition))
    return [adapter.digest for adapter in settings.served]


@pytest.mark.slow
def test_a_stack_on_modal_lives_from_up_over_another_adapter_and_drift_to_destroy(stack: ModalStack) -> None:
    first = stack.adapter
    planned = stack.driver().preview()
    assert operations(planned) == [("create", "place"), ("create", "deploy"), ("create", "endpoint")]
    assert stack.fake.calls == []

    done = stack.up()
    assert done.outputs["endpoint"]["apiKey"] == "[secret]"
    assert (stack.apps(), served(stack)) == (1, [first.digest])
    assert dict(stack.driver().preview().changes) == {"same": 5}
    deploy, outputs = stack.state()["deploy"], stack.state()["endpoint"]["outputs"]
    assert (deploy["type"], deploy["inputs"]["triggers"][0]) == (COMMAND, first.digest)
    assert (outputs["digests"], outputs["healthy"]) == ([first.digest], True)
    assert outputs["coldStartMeasuredMs"] is not None
    assert secrets_seen(stack) == []

    # Another adapter: the preview says that it is a redeploy, and of what; one deploy is made, and the old one answers.
    second = stack.use(2)
    planned = stack.driver().preview()
    assert operations(planned) == [
        ("create-replacement", "deploy"),
        ("update", "endpoint"),
        ("delete-replaced", "deploy"),
    ]
    assert changed(planned, "deploy") == ("environment.TAKEOVER_MODAL_ADAPTERS", "triggers[0]")
    assert "redeploys the app takeover-dev-0a1b2c3d" in said(planned)
    stack.fake.calls.clear()
    stack.up()
    assert stack.fake.calls.count("AppPublish") == 1
    assert (stack.apps(), served(stack)) == (1, [second.digest, first.digest])

    # Somebody stops it: a refresh sees that, and the next up mends it. So it is found for an import, too.
    stack.stop_by_hand()
    assert dict(stack.driver().refresh().changes) == {"same": 4, "delete": 1}
    assert operations(stack.up()) == [("create", "endpoint")]
    assert (stack.apps(), served(stack)) == (1, [second.digest])
    found = asyncio.run(Operations().read(f"modal/{stack.name}", {}))
    assert [model["digest"] for model in found.inputs["models"]] == [second.digest]

    stack.driver().destroy()
    assert stack.left() == []


def secrets_seen(stack: ModalStack) -> list[str]:
    """Those that stand in clear in the state, in the outputs or on the screen."""
    volume = stack.fake.state.volume(stack.name)
    assert volume is not None
    key = stack.fake.state.blobs[volume.files["key"]].decode()
    assert stack_outputs("dev", project_dir=stack.root, show_secrets=True)["endpoint"]["apiKey"] == key
    outputs = json.dumps(stack_outputs("dev", project_dir=stack.root))
    seen = json.dumps(stack.driver().export()) + repr(stack.lines) + outputs
    return [secret for secret in (key, TOKEN_SECRET) if secret in seen]


@pytest.mark.slow
def test_an_engine_killed_in_the_middle_of_a_deploy_leaves_one_endpoint_or_none(stack: ModalStack) -> None:
    with stack.fake.held("FunctionCreate") as (come, _go):
        killed = stack.start_up()
        assert come.wait(PATIENCE_S)
        engine_under(killed).kill()
        assert killed.wait(PATIENCE_S) == VendorError.exit_code
    # The command that the engine had started is still at work; whoever comes next waits for it.
    stack.driver().destroy()
    assert stack.left() == []
    stack.up()
    assert (stack.apps(), served(stack)) == (1, [stack.adapter.digest])


def test_a_failed_build_is_one_message_and_the_next_up_makes_it_good(stack: ModalStack) -> None:
    stack.fake.answers.build_fails = ["Collecting gguf\nERROR: No matching distribution found for gguf>=0.17"]
    with pytest.raises(VendorError) as caught:
        stack.up()
    text = str(caught.value)
    assert text.startswith("Modal could not build the image of takeover-dev-0a1b2c3d\n")
    assert "ERROR: No matching distribution found for gguf>=0.17" in text
    assert (stack.apps(), "Traceback" in text, "TAKEOVER_PYTHON" in text) == (0, False, False)
    assert operations(stack.up()) == [("create", "deploy"), ("create", "endpoint")]
    assert (stack.apps(), served(stack)) == (1, [stack.adapter.digest])


def test_without_a_token_the_preview_says_so_and_asks_nobody(
    stack: ModalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MODAL_TOKEN_ID")
    with pytest.raises(AuthError, match="MODAL_TOKEN_ID is not set"):
        stack.driver().preview()
    assert stack.fake.calls == []
