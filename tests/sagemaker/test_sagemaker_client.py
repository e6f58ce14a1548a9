"""`takeover.Client` and `takeover ask` on SageMaker: signed questions, streams, errors in our words."""

from __future__ import annotations

import builtins
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes.sagemaker_api import SECRET_KEY, FakeSageMaker, event
from fakes.sagemaker_state import Thing
from sagemaker_ground import COMPONENTS, NAME, ROLE, model, serving, uri
from typer.testing import CliRunner

from takeover.cli import app
from takeover.client import Client
from takeover.errors import AuthError, NotReady, RateLimited, Refused, TakeoverError, VendorError
from takeover.errors import ColdStart as Waking
from takeover.outputs import ColdStart, EndpointOutputs, PlanFigures, Replicas, ServedAdapter
from takeover.sagemaker.names import base_component, component_name, invocation_url
from takeover.sagemaker.requests import build_adapter_component, build_base_component, build_configuration, build_model

TONE, STYLE = model("tone", "a"), model("style", "b")


def outputs_of(root: str, *, name: str = NAME, parts: bool = False) -> EndpointOutputs:
    served = [ServedAdapter(name=each.name, model=each.served_name, digest=each.digest) for each in (TONE, STYLE)]
    return EndpointOutputs(
        provider="sagemaker",
        url=invocation_url("us-east-1", name, has_components=parts, root=root),
        protocol="sagemaker",
        model=TONE.served_name,
        digest=TONE.digest,
        adapters=tuple(served),
        regions=("us-east-1",),
        cold_start=ColdStart(expected_ms=1),
        replicas=Replicas(min=1, max=1),
        plan=PlanFigures(monthly_usd=0, floor_usd=0, ceiling_usd=0, per_million_tokens_usd=0),
    )


def put_up(fake: FakeSageMaker, *, parts: bool = False) -> EndpointOutputs:
    """As a deploy leaves it, without the deploy."""
    state, plan = fake.state, serving(COMPONENTS if parts else {}, (TONE, STYLE))
    made = build_model(plan, uri, ROLE)
    state.models[made["ModelName"]] = made
    configuration = build_configuration(plan, None if parts else made["ModelName"], ROLE)
    name = configuration["EndpointConfigName"]
    state.configurations[name] = configuration
    state.endpoints[NAME] = Thing({"EndpointConfigName": name}, status="InService", live=name)
    requests = [build_base_component(plan, made["ModelName"])] if parts else []
    requests += [build_adapter_component(plan, each, uri) for each in plan.models] if parts else []
    for request in requests:
        state.components[request["InferenceComponentName"]] = Thing(request, status="InService")
    return outputs_of(fake.url, parts=parts)


def client_of(outputs: EndpointOutputs) -> Client:
    return Client(lambda: outputs, max_retries=0)


@pytest.mark.parametrize("parts", [False, True], ids=["endpoint", "components"])
async def test_each_way_of_asking_gets_the_same_answer(aws: FakeSageMaker, parts: bool) -> None:
    client = client_of(put_up(aws, parts=parts))
    served = component_name(NAME, TONE.served_name) if parts else TONE.served_name
    wanted = f"{served} hears: wo bleibt das Päckchen?"
    question = "wo bleibt das Päckchen?"
    assert str(client.chat(question)) == wanted
    assert "".join(client.stream(question)) == wanted
    assert str(await client.achat(question)) == wanted
    assert "".join([text async for text in client.astream(question)]) == wanted
    client.close()
    await client.aclose()


async def test_an_adapter_is_asked_by_its_name_and_the_base_beside_it(aws: FakeSageMaker) -> None:
    whole = client_of(put_up(aws))
    assert str(whole.chat("hi", adapter="style")) == f"{STYLE.served_name} hears: hi"
    parts = client_of(put_up(aws, parts=True))
    assert str(parts.chat("hi", adapter="style")).startswith(component_name(NAME, STYLE.served_name))
    assert str(parts.chat("hi", model="base")) == f"{base_component(NAME)} hears: hi"
    assert [each.id for each in whole.openai().models.list()] == ["base", TONE.served_name, STYLE.served_name]


@dataclass(frozen=True)
class Answer:
    id: str
    status: int
    body: Mapping[str, Any]
    error: type[TakeoverError]
    said: str
    headers: Mapping[str, str] = field(default_factory=dict)


def typed(code: str) -> Mapping[str, str]:
    return {"x-amzn-ErrorType": f"{code}:http://internal.amazon.com/"}


TOO_LARGE = json.dumps({"error": {"message": "max_tokens is too large"}})
NO_COPY = {"message": "Inference Component has no capacity"}
ANSWERS = [
    Answer("asked too often", 400, {"message": "Rate up"}, RateLimited, "Rate up", typed("ThrottlingException")),
    Answer("expired", 403, {"message": "it is expired"}, AuthError, "expired", typed("ExpiredTokenException")),
    Answer("a wrong signature", 403, {"message": "bad"}, AuthError, "bad", typed("InvalidSignatureException")),
    Answer("no right", 403, {"message": "not yours"}, AuthError, "not yours", typed("AccessDeniedException")),
    Answer("no copy", 400, NO_COPY, Waking, "capacity", typed("ValidationError")),
    Answer("a model that wakes", 429, {"message": "soon"}, NotReady, "soon", typed("ModelNotReadyException")),
    Answer("service down", 503, {"message": "later"}, NotReady, "later", typed("ServiceUnavailable")),
    Answer("gone", 400, {"message": "Endpoint x not found."}, VendorError, "x not found", typed("ValidationError")),
    Answer(
        "a bad request, says vLLM",
        424,
        {"OriginalStatusCode": 400, "OriginalMessage": TOO_LARGE},
        Refused,
        "max_tokens is too large",
        typed("ModelError"),
    ),
    Answer("a crash", 424, {"OriginalStatusCode": 500, "OriginalMessage": "boom"}, VendorError, "boom"),
    Answer("no time left", 424, {"Message": "timed out"}, VendorError, "timed out", typed("ModelError")),
    Answer("a secret repeated", 500, {"message": f"{SECRET_KEY}!"}, VendorError, "[secret]!", typed("InternalFailure")),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.id)
def test_what_sagemaker_answers_becomes_the_error_that_it_means(aws: FakeSageMaker, answer: Answer) -> None:
    client = client_of(put_up(aws))
    aws.answers = [(answer.status, answer.headers, json.dumps(answer.body))] * 2
    with pytest.raises(TakeoverError) as caught:
        client.chat("hello")
    assert type(caught.value) is answer.error
    assert answer.said in str(caught.value)
    assert SECRET_KEY not in str(caught.value)
    with pytest.raises(answer.error):
        list(client.stream("hello"))


def test_no_redirect_is_followed(aws: FakeSageMaker) -> None:
    aws.answers = [(307, {"Location": f"{aws.url}/endpoints/other/invocations"}, "")]
    with pytest.raises(TakeoverError):
        client_of(put_up(aws)).chat("hello")
    assert len(aws.calls) == 1


def test_a_stream_that_breaks_is_an_error_and_no_end() -> None:
    from takeover.sagemaker.transport import _Events

    part = event({":message-type": "event", ":event-type": "PayloadPart"}, b'data: {"x": 1}\n\n')
    broken = event({":message-type": "exception", ":exception-type": "ModelStreamError"}, b'{"Message":"StreamBroken"}')
    data, events = part + broken, _Events()
    pieces = [piece for at in range(0, len(data), 7) for piece in events.pieces(data[at : at + 7])]
    assert pieces[0] == b'data: {"x": 1}\n\n'
    assert json.loads(pieces[1].removeprefix(b"data: "))["error"]["code"] == "ModelStreamError"


def test_the_endpoint_that_has_moved_is_asked_at_its_new_place(aws: FakeSageMaker) -> None:
    old, new = outputs_of(aws.url, name="old"), put_up(aws)
    told = iter([old, new])
    assert str(Client(lambda: next(told), max_retries=0).chat("hi")) == f"{TONE.served_name} hears: hi"


def test_without_credentials_it_says_so(aws: FakeSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = put_up(aws)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AuthError, match="no AWS credentials"):
        client_of(outputs).chat("hello")


def test_without_boto3_it_says_how_to_install_it(aws: FakeSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs, real = put_up(aws), builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.partition(".")[0] in ("boto3", "botocore"):
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Refused, match="not installed") as caught:
        client_of(outputs).chat("hello")
    assert "pip install boto3" in str(caught.value)


def test_takeover_ask_speaks_it(aws: FakeSageMaker, tmp_path: Path) -> None:
    file = tmp_path / "endpoint.json"
    file.write_text(json.dumps(put_up(aws).to_json(show_secrets=True)))
    asked = CliRunner().invoke(app, ["ask", "hello", "--outputs", str(file)])
    assert (asked.exit_code, asked.stdout) == (0, f"{TONE.served_name} hears: hello\n")
    both = CliRunner().invoke(app, ["ask", "hello", "--outputs", str(file), "--beside-base", "--json"])
    told = json.loads(both.stdout)
    assert (told["base"]["text"], told["adapter"]["text"]) == ("base hears: hello", f"{TONE.served_name} hears: hello")


def test_no_botocore_is_imported_before_aws_is_asked() -> None:
    import subprocess
    import sys

    code = "import sys, takeover.client._client, takeover.providers.sagemaker; print('botocore' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
