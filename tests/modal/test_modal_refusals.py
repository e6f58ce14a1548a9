"""Bad input to a deploy on Modal: one message each, with the way out, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes.artifacts import make_adapter
from fakes.modal_server import TOKEN_SECRET, FakeModal
from fakes.modal_state import App
from modal import exception as modal_exception
from modal_proto import api_pb2 as api

from takeover.errors import AuthError, NotReady, QuotaError, Refusals, Refused, TakeoverError, VendorError
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.providers._modal_errors import error_of_exception, error_of_output, hidden
from takeover.providers.modal import ModalProvider

NAME = "takeover-dev-0a1b2c3d"


@dataclass
class Scene:
    """A deploy that is about to go wrong."""

    modal: FakeModal
    monkeypatch: pytest.MonkeyPatch
    model: TrainedModel


def no_token(scene: Scene) -> None:
    for variable in ("MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET"):
        scene.monkeypatch.delenv(variable)


def half_a_token(scene: Scene) -> None:
    scene.monkeypatch.delenv("MODAL_TOKEN_SECRET")


def wrong_token(scene: Scene) -> None:
    scene.monkeypatch.setenv("MODAL_TOKEN_SECRET", "as-of-somebody-else")


def expired_token(scene: Scene) -> None:
    scene.modal.token_expired = True


def no_such_gpu(scene: Scene) -> None:
    scene.modal.answers.without_gpus = {"L40S"}


def build_fails(scene: Scene) -> None:
    scene.modal.answers.build_fails = ["Collecting gguf\nERROR: No matching distribution found for gguf>=0.17"]


def adapter_damaged(scene: Scene) -> None:
    weights = Path(scene.model.path) / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")


def name_taken(scene: Scene) -> None:
    scene.modal.state.apps["ap-1"] = App("ap-1", NAME, {"team": "search"}, state=api.APP_STATE_DEPLOYED)


def nothing(_scene: Scene) -> None:
    return None


@dataclass(frozen=True)
class Wrong:
    id: str
    error: type[TakeoverError]
    said: list[str]
    cause: Callable[[Scene], None] = nothing
    spec: dict[str, Any] = field(default_factory=dict)
    rank: int = 4


WRONGS = [
    Wrong(
        "no token",
        AuthError,
        ["MODAL_TOKEN_ID and MODAL_TOKEN_SECRET", "https://modal.com/settings/tokens", "Nothing was created."],
        no_token,
    ),
    Wrong("half a token", AuthError, ["MODAL_TOKEN_SECRET is not set", "Nothing was created."], half_a_token),
    Wrong("a wrong token", AuthError, ["Modal does not accept the token", "is not valid"], wrong_token),
    Wrong("an expired token", AuthError, ["Modal does not accept the token", "Token has expired"], expired_token),
    Wrong(
        "a workspace without that GPU",
        QuotaError,
        ["does not give this workspace the GPU", "L40S is not available", "Choose another takeover:modal.gpu"],
        no_such_gpu,
    ),
    Wrong(
        "an image that cannot be built",
        VendorError,
        ["could not build the image", "ERROR: No matching distribution found for gguf>=0.17", "Nothing was deployed."],
        build_fails,
    ),
    Wrong("an adapter that was damaged", Refused, ["adapter_model.safetensors"], adapter_damaged),
    Wrong("a name that somebody else has", Refused, ["that takeover did not make", "left alone"], name_taken),
    Wrong(
        "a secret that nobody made",
        Refused,
        ["Secret 'huggingface' not found"],
        spec={"options": {"secrets": ["huggingface"]}},
    ),
    Wrong(
        "max below min",
        Refusals,
        ["minReplicas is 3, above maxReplicas (1)", "Raise maxReplicas"],
        spec={"minReplicas": 3, "maxReplicas": 1},
    ),
    Wrong("a rank above the limit", Refusals, ["has rank 600", "modal serves ranks up to 512"], rank=600),
]


@pytest.mark.parametrize("case", WRONGS, ids=lambda case: case.id)
async def test_what_goes_wrong_is_one_message_and_leaves_nothing(
    modal: FakeModal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Wrong
) -> None:
    adapter = make_adapter(tmp_path / "tone", seed=1, name="tone")
    model = adapter.trained_model().model_copy(update={"rank": case.rank})
    spec = EndpointSpec.model_validate({"name": NAME, "base": "tiny", "minReplicas": 0, **case.spec})
    case.cause(Scene(modal, monkeypatch, model))
    before = len(modal.state.apps)
    with pytest.raises(TakeoverError) as caught:
        await ModalProvider().deploy((model,), spec)
    text = str(caught.value)
    assert (type(caught.value), [words for words in case.said if words not in text]) == (case.error, [])
    assert ("Traceback" in text, TOKEN_SECRET in text, "as-of-somebody-else" in text) == (False, False, False)
    running = [app for app in modal.state.apps.values() if app.is_running and "team" not in app.tags]
    assert (running, before <= 1) == ([], True)


@dataclass(frozen=True)
class Raised:
    id: str
    raised: Exception
    error: type[TakeoverError]


RAISED = [
    Raised("the token", modal_exception.AuthError("Token missing."), AuthError),
    Raised("a right", modal_exception.PermissionDeniedError("no"), QuotaError),
    Raised("a limit", modal_exception.ResourceExhaustedError("no more containers"), QuotaError),
    Raised("a name", modal_exception.NotFoundError("no such volume"), Refused),
    Raised("a value", modal_exception.InvalidError("no such region"), Refused),
    Raised("a race", modal_exception.AlreadyExistsError("deployed meanwhile"), NotReady),
    Raised("the network", modal_exception.ConnectionError("no route"), NotReady),
    Raised("the network below", ConnectionResetError("cut"), NotReady),
    Raised("their failure", modal_exception.InternalError("oops"), VendorError),
    Raised("what nobody knows", modal_exception.Error("x"), VendorError),
    Raised("a token in other clothes", modal_exception.ServiceError("the token has expired"), AuthError),
]


@pytest.mark.parametrize("case", RAISED, ids=lambda case: case.id)
def test_what_the_client_raises_is_one_of_our_errors(case: Raised) -> None:
    error = error_of_exception(case.raised, "looking at demo")
    assert type(error) is case.error
    assert error.why == f"While looking at demo: {case.raised}"


@dataclass(frozen=True)
class Printed:
    id: str
    output: str
    error: type[TakeoverError]
    said: str


BOX = "╭──── Traceback ────╮\n│ modal_app.py:49 in <module> │\n╰───────────────╯\n"
PRINTED = [
    Printed("a refusal of the app's own", "x\ntakeover refuses this deploy: the adapter is gone\n", Refused, "is gone"),
    Printed(
        "an exception below a box", BOX + "AuthError: Token missing. Set it\nand try.\n", AuthError, "Set it and try."
    ),
    Printed("a plain error", "Error: no such region: moon\n", Refused, "no such region: moon"),
    Printed("a failure of theirs", "Error: Internal error, please try again\n", VendorError, "Internal error"),
    Printed("nothing at all", "", VendorError, "it said nothing"),
    Printed("something unheard of", "boom\n", VendorError, "boom"),
]


@pytest.mark.parametrize("case", PRINTED, ids=lambda case: case.id)
def test_what_the_command_prints_is_one_of_our_errors(case: Printed) -> None:
    error = error_of_output(case.output, "", name="demo")
    assert (type(error), case.said in str(error)) == (case.error, True)


def test_nothing_that_looks_like_a_token_is_shown() -> None:
    assert hidden("ak-Ab12345678 and as-Zz98765432, wk-0123456789") == "[secret] and [secret], [secret]"
