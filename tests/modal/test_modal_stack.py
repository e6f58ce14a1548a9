"""The Modal stack through the real engine: up, another adapter, drift, refresh, destroy."""

from __future__ import annotations

import asyncio
import json

import pytest
from fakes.modal_server import TOKEN_SECRET
from modal_stack import COMMAND, ModalStack, operations

from plugin.operations import Operations
from takeover.engine.stacks import Outcome, stack_outputs

pytestmark = pytest.mark.engine


def said(outcome: Outcome) -> str:
    return " ".join(message.text for message in outcome.messages)


def changed(outcome: Outcome, name: str) -> tuple[str, ...]:
    """The properties that change of one resource."""
    [found] = [step.changed for step in outcome.steps if step.name == name and step.changed]
    return found


@pytest.mark.slow
def test_a_stack_on_modal_lives_from_up_over_another_adapter_and_drift_to_destroy(stack: ModalStack) -> None:
    first = stack.adapter
    planned = stack.driver().preview()
    assert operations(planned) == [("create", "place"), ("create", "deploy"), ("create", "endpoint")]
    assert stack.fake.calls == []

    done = stack.up()
    assert done.outputs["endpoint"]["apiKey"] == "[secret]"
    assert (stack.apps(), stack.served()) == (1, [first.digest])
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
    assert (stack.apps(), stack.served()) == (1, [second.digest, first.digest])

    # Somebody stops it: a refresh sees that, and the next up mends it. So it is found for an import, too.
    stack.stop_by_hand()
    assert dict(stack.driver().refresh().changes) == {"same": 4, "delete": 1}
    assert operations(stack.up()) == [("create", "endpoint")]
    assert (stack.apps(), stack.served()) == (1, [second.digest])
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
