"""The Modal stack through the real engine when something goes wrong: a killed engine, a failed build, no token."""

from __future__ import annotations

import pytest
from modal_stack import ModalStack, engine_under, operations

from takeover.errors import AuthError, VendorError

pytestmark = pytest.mark.engine
PATIENCE_S = 60


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
    assert (stack.apps(), stack.served()) == (1, [stack.adapter.digest])


def test_a_failed_build_is_one_message_and_the_next_up_makes_it_good(stack: ModalStack) -> None:
    stack.fake.answers.build_fails = ["Collecting gguf\nERROR: No matching distribution found for gguf>=0.17"]
    with pytest.raises(VendorError) as caught:
        stack.up()
    text = str(caught.value)
    assert text.startswith("Modal could not build the image of takeover-dev-0a1b2c3d\n")
    assert "ERROR: No matching distribution found for gguf>=0.17" in text
    assert (stack.apps(), "Traceback" in text, "TAKEOVER_PYTHON" in text) == (0, False, False)
    assert operations(stack.up()) == [("create", "deploy"), ("create", "endpoint")]
    assert (stack.apps(), stack.served()) == (1, [stack.adapter.digest])


def test_without_a_token_the_preview_says_so_and_asks_nobody(
    stack: ModalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MODAL_TOKEN_ID")
    with pytest.raises(AuthError, match="MODAL_TOKEN_ID is not set"):
        stack.driver().preview()
    assert stack.fake.calls == []
