"""The client against a real server on the loopback: answers, moves, errors, secrets."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes.endpoints import outputs_for
from fakes.openai_stub import KEY, MODEL, Failure, OpenAIStub, pieces

from takeover import Client, Reply
from takeover.client import Usage
from takeover.client.sources import StackSource
from takeover.errors import AuthError, NotReady, QuotaError, RateLimited, Refused, TakeoverError, VendorError
from takeover.outputs import EndpointOutputs, save_outputs

OTHER = "billing@0123456789ab"
NEWER = "support-tone@ffffffffffff"
HELLO = Reply(text=f"{MODEL} says: hello", model=MODEL, finish_reason="stop", usage=Usage(5, 7, 12))
LOOK = "`takeover refresh` looks what runs, `takeover up` mends it."


@pytest.fixture
def stub() -> Iterator[OpenAIStub]:
    with OpenAIStub(models=(MODEL, OTHER)) as server:
        yield server


@pytest.fixture
def file(stub: OpenAIStub, tmp_path: Path) -> Path:
    path = tmp_path / "endpoint.json"
    save_outputs(path, outputs_for(stub.url, models=(MODEL, OTHER)))
    return path


@pytest.fixture
def client(file: Path) -> Iterator[Client]:
    made = Client.from_file(file, max_retries=0)
    yield made
    made.close()


def test_a_text_is_one_turn_of_the_users(client: Client, stub: OpenAIStub) -> None:
    reply = client.chat("hello", max_tokens=7, temperature=0)
    assert (reply, str(reply)) == (HELLO, HELLO.text)
    assert stub.requests == [
        {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 7, "temperature": 0}
    ]


def test_messages_go_as_they_are(client: Client, stub: OpenAIStub) -> None:
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hello"}]
    assert client.chat(messages) == HELLO
    assert stub.requests == [{"model": MODEL, "messages": messages}]


@pytest.mark.parametrize("adapter", ["billing", OTHER])
def test_an_adapter_is_chosen_by_its_name_or_its_served_name(client: Client, adapter: str) -> None:
    assert client.chat("hello", adapter=adapter).model == OTHER


def test_pieces_come_as_they_are_written(client: Client, stub: OpenAIStub) -> None:
    assert list(client.stream("hello", adapter="billing", seed=3)) == pieces(OTHER, "hello")
    assert stub.requests == [
        {"model": OTHER, "messages": [{"role": "user", "content": "hello"}], "seed": 3, "stream": True}
    ]


async def test_the_same_goes_for_asyncio(client: Client) -> None:
    assert await client.achat("hello") == HELLO
    assert [text async for text in client.astream("hello", adapter="billing")] == pieces(OTHER, "hello")
    await client.aclose()


def test_one_client_serves_one_event_loop_after_the_other(client: Client) -> None:
    assert [asyncio.run(client.achat("hello")) for _ in range(2)] == [HELLO, HELLO]


def test_the_sdk_comes_ready_for_the_endpoint(client: Client, stub: OpenAIStub) -> None:
    sdk = client.openai()
    assert (str(sdk.base_url), sdk.api_key) == (stub.url + "/", KEY)
    assert sorted(model.id for model in sdk.models.list()) == sorted([stub.base, MODEL, OTHER])


async def test_the_asynchronous_sdk_too(client: Client, stub: OpenAIStub) -> None:
    async with client.async_openai() as sdk:
        assert [model.id async for model in sdk.models.list()] == [stub.base, MODEL, OTHER]


def test_nothing_of_another_account_is_sent_and_no_proxy_is_asked_for_the_loopback(
    file: Path, stub: OpenAIStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"OPENAI_ORG_ID": "org-x", "OPENAI_PROJECT_ID": "proj-x", "OPENAI_API_KEY": "sk-x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert Client.from_file(file).chat("hello") == HELLO
    assert [name for name in stub.headers[0] if name.startswith("openai-")] == []
    assert stub.headers[0]["authorization"] == f"Bearer {KEY}"


def test_an_address_without_a_path_gets_the_usual_one(stub: OpenAIStub, tmp_path: Path) -> None:
    save_outputs(tmp_path / "e.json", outputs_for(stub.url.removesuffix("/v1")))
    assert Client.from_file(tmp_path / "e.json").chat("hello") == HELLO


def test_outputs_come_from_a_variable_too(stub: OpenAIStub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAKEOVER_ENDPOINT", json.dumps(outputs_for(stub.url).to_json(show_secrets=True)))
    assert Client.from_env().chat("hello") == HELLO


def test_outputs_come_from_a_stack_with_its_secrets(
    stub: OpenAIStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Path | None, bool]] = []

    def stack_outputs(stack: str, *, project_dir: Path | None = None, show_secrets: bool = False) -> dict[str, Any]:
        asked.append((stack, project_dir, show_secrets))
        return {"endpoint": outputs_for(stub.url).to_json(show_secrets=show_secrets)}

    monkeypatch.setattr("takeover.engine.stacks.stack_outputs", stack_outputs)
    assert Client.from_stack("dev", project_dir=tmp_path).chat("hello") == HELLO
    assert Client.from_stack("prod").chat("hello") == HELLO
    assert asked == [("dev", tmp_path, True), ("prod", None, True)]


def test_a_stack_without_an_endpoint_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("takeover.engine.stacks.stack_outputs", lambda *_, **__: {"other": 1})
    with pytest.raises(Refused) as caught:
        Client.from_stack("dev")
    assert str(caught.value) == (
        "the stack dev has no endpoint\n  Nothing is deployed.\n  Make it: takeover up --stack dev"
    )


# Moves. The file is replaced while the client holds the old outputs.


@dataclass(frozen=True)
class Move:
    """What has become of the old server, and which key the new one takes; `new` starts unless the old one goes on."""

    id: str
    happen: Callable[[OpenAIStub], None]


def lose_model(stub: OpenAIStub) -> None:
    stub.models = []


def change_key(stub: OpenAIStub) -> None:
    stub.key = "another"


def drain(stub: OpenAIStub) -> None:
    stub.failures = [Failure(503, "shutting down")]


MOVES = [
    Move("the old server is gone", OpenAIStub.stop),
    Move("the old server has lost the model", lose_model),
    Move("the old server takes another key", change_key),
    Move("the old server shuts down", drain),
]


def move(stub: OpenAIStub, new: OpenAIStub, file: Path, happen: Callable[[OpenAIStub], None]) -> None:
    happen(stub)
    save_outputs(file, outputs_for(new.url, models=(NEWER,), key=new.key))


@pytest.mark.parametrize("case", MOVES, ids=lambda case: case.id)
def test_a_request_follows_the_endpoint(case: Move, client: Client, stub: OpenAIStub, file: Path) -> None:
    assert client.chat("hello") == HELLO
    with OpenAIStub(models=(NEWER,), key="new-key") as new:
        move(stub, new, file, case.happen)
        assert client.chat("hello").model == NEWER
        assert client.outputs.url == new.url
        assert len(new.requests) == 1


@pytest.mark.parametrize("case", MOVES, ids=lambda case: case.id)
async def test_an_asynchronous_request_follows_it_too(case: Move, client: Client, stub: OpenAIStub, file: Path) -> None:
    assert await client.achat("hello") == HELLO
    with OpenAIStub(models=(NEWER,), key="new-key") as new:
        move(stub, new, file, case.happen)
        assert (await client.achat("hello")).model == NEWER
        assert [text async for text in client.astream("hello")] == pieces(NEWER, "hello")


@pytest.mark.parametrize("case", MOVES, ids=lambda case: case.id)
def test_a_stream_follows_it_before_its_first_text(case: Move, client: Client, stub: OpenAIStub, file: Path) -> None:
    with OpenAIStub(models=(NEWER,), key="new-key") as new:
        move(stub, new, file, case.happen)
        assert list(client.stream("hello")) == pieces(NEWER, "hello")


def test_a_stream_that_breaks_off_before_its_first_text_is_asked_again(
    client: Client, stub: OpenAIStub, file: Path
) -> None:
    stub.cut_after = 0
    with OpenAIStub(models=(NEWER,)) as new:
        save_outputs(file, outputs_for(new.url, models=(NEWER,)))
        assert list(client.stream("hello")) == pieces(NEWER, "hello")


def test_a_stream_that_breaks_off_later_is_an_error(client: Client, stub: OpenAIStub, file: Path) -> None:
    stub.cut_after = 2
    with OpenAIStub(models=(NEWER,)) as new:
        save_outputs(file, outputs_for(new.url, models=(NEWER,)))
        stream = client.stream("hello")
        assert [next(stream), next(stream)] == pieces(MODEL, "hello")[:2]
        with pytest.raises(VendorError) as caught:
            next(stream)
        assert str(caught.value) == (
            f"the answer of {stub.url} broke off\n  The connection failed (RemoteProtocolError).\n  Ask again."
        )
        assert new.requests == []


def test_a_stream_without_a_finish_reason_is_not_taken_for_whole(client: Client, stub: OpenAIStub) -> None:
    stub.mute_end = True
    stream = client.stream("hello")
    assert [next(stream) for _ in range(3)] == pieces(MODEL, "hello")
    with pytest.raises(VendorError, match="broke off"):
        next(stream)


def test_closing_a_stream_hangs_up(client: Client, stub: OpenAIStub) -> None:
    stub.hold_after = 1
    stream = client.stream("hello")
    assert next(stream) == pieces(MODEL, "hello")[0]
    stream.close()
    assert stub.hung_up.wait(10)


async def test_closing_an_asynchronous_stream_hangs_up(client: Client, stub: OpenAIStub) -> None:
    stub.hold_after = 1
    stream = client.astream("hello")
    assert await anext(stream) == pieces(MODEL, "hello")[0]
    await stream.aclose()
    assert await asyncio.to_thread(stub.hung_up.wait, 10)


def test_a_new_adapter_is_found_on_the_same_server(client: Client, stub: OpenAIStub, file: Path) -> None:
    stub.models.append(NEWER)
    save_outputs(file, outputs_for(stub.url, models=(MODEL, "fresh@0123456789ab")))
    stub.models.append("fresh@0123456789ab")
    assert client.chat("hello", adapter="fresh").model == "fresh@0123456789ab"


def test_a_change_of_adapter_keeps_the_open_connections(client: Client, stub: OpenAIStub, file: Path) -> None:
    before = client.openai()
    stub.models = [NEWER]
    save_outputs(file, outputs_for(stub.url, models=(NEWER,)))
    assert client.chat("hello").model == NEWER
    assert client.openai() is before


def test_no_request_is_lost_when_the_endpoint_moves_under_load(client: Client, stub: OpenAIStub, file: Path) -> None:
    def ask(number: int) -> str:
        return client.chat(f"question {number}").text.partition(" says: ")[2]

    with OpenAIStub(models=(NEWER,), key="new-key") as new, ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask, number) for number in range(100)]
        answers[20].result()
        save_outputs(file, outputs_for(new.url, models=(NEWER,), key=new.key))
        stub.stop()
        answers += [pool.submit(ask, number) for number in range(100, 200)]
        assert [answer.result() for answer in answers] == [f"question {number}" for number in range(200)]
        assert len(new.requests) >= 100


def test_callers_that_fail_during_a_reading_share_the_next_one(stub: OpenAIStub) -> None:
    reads: list[int] = []
    all_asked = threading.Barrier(5)

    def source() -> EndpointOutputs:
        reads.append(len(stub.requests))
        time.sleep(0.1)  # long enough for all to fail while the first one reads
        return outputs_for(stub.url)

    def ask() -> None:
        all_asked.wait()
        client.chat("hello")

    client = Client(source, max_retries=0)
    stub.failures = [Failure(503)] * 5
    with ThreadPoolExecutor(5) as pool:
        failed = [pool.submit(ask) for _ in range(5)]
        assert [type(each.exception()) for each in failed] == [NotReady] * 5
    assert len(reads) <= 3
    client.close()


@dataclass(frozen=True)
class ScriptedStack(StackSource):
    """A stack's outputs, reading by reading, and whether an update runs then."""

    script: list[tuple[EndpointOutputs, bool]] = field(default_factory=list)

    def __call__(self) -> EndpointOutputs:
        return self.script.pop(0)[0] if len(self.script) > 1 else self.script[0][0]

    def is_changing(self) -> bool:
        return self.script[0][1]


def test_while_an_update_runs_a_request_waits_for_the_outputs_that_it_writes(stub: OpenAIStub) -> None:
    gone = outputs_for("http://127.0.0.1:9")
    source = ScriptedStack("dev", script=[(gone, False), (gone, True), (gone, True), (outputs_for(stub.url), True)])
    with closing(Client(source, max_retries=0)) as client:
        assert client.chat("hello").text


def test_without_an_update_the_outputs_are_read_once(stub: OpenAIStub) -> None:
    gone = outputs_for("http://127.0.0.1:9")
    source = ScriptedStack("dev", script=[(gone, False), (gone, False), (outputs_for(stub.url), True)])
    with closing(Client(source, max_retries=0)) as client, pytest.raises(VendorError, match="nothing answers"):
        client.chat("hello")


def test_where_the_outputs_are_gone_too_the_first_error_is_told(client: Client, stub: OpenAIStub, file: Path) -> None:
    stub.stop()
    file.unlink()
    with pytest.raises(VendorError) as caught:
        client.chat("hello")
    assert str(caught.value) == f"nothing answers at {stub.url}\n  The connection failed (ConnectError).\n  {LOOK}"


# Errors: one request, one answer of the server, one of ours.


@dataclass(frozen=True)
class Case:
    id: str
    failure: Failure
    kind: type[TakeoverError]
    want: str


CASES = [
    Case(
        "the key is not accepted, and a server that repeats it is not repeated",
        Failure(401, f"Wrong key {KEY}.", "invalid_api_key"),
        AuthError,
        "{url} does not accept the key\n"
        "  HTTP 401, code invalid_api_key, request id req_1: Wrong key [secret].\n"
        "  Read the outputs again: an endpoint that is made anew has a new key.",
    ),
    Case(
        "the model is not served",
        Failure(404, "The model does not exist.", "model_not_found"),
        VendorError,
        "{url} does not serve what was asked for\n"
        "  HTTP 404, code model_not_found, request id req_1: The model does not exist.\n"
        f"  {LOOK}",
    ),
    Case(
        "the prompt is too long",
        Failure(400, "At most 512\n  tokens.", "context_length_exceeded"),
        Refused,
        "{url} refused the request\n"
        "  HTTP 400, code context_length_exceeded, request id req_1: At most 512 tokens.\n"
        "  Change the request: nothing was answered.",
    ),
    Case(
        "the queue is full",
        Failure(429, "Full.", headers={"Retry-After": "3"}),
        RateLimited,
        "{url} is asked too often\n"
        "  HTTP 429, request id req_1: Full.\n"
        "  Ask more slowly, or raise takeover:hosting.maxReplicas.",
    ),
    Case(
        "the account has no more",
        Failure(429, "Pay.", "insufficient_quota"),
        QuotaError,
        "{url}: the account's quota is used up\n"
        "  HTTP 429, code insufficient_quota, request id req_1: Pay.\n"
        "  Look at the account's limits.",
    ),
    Case(
        "it asks for payment",
        Failure(402, "Pay."),
        QuotaError,
        "{url} asks for payment\n  HTTP 402, request id req_1: Pay.\n  Look at the account's balance.",
    ),
    Case(
        "it is not ready",
        Failure(503, "Loading.", headers={"Retry-After": "20"}),
        NotReady,
        "{url} is not ready\n  HTTP 503, request id req_1: Loading.\n  Ask again later.",
    ),
    Case(
        "it fails",
        Failure(500, "x" * 600),
        VendorError,
        "{url} failed\n  HTTP 500, request id req_1: " + "x" * 469 + f"...\n  {LOOK}",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_error_says_what_happened_why_and_what_to_do(case: Case, client: Client, stub: OpenAIStub) -> None:
    stub.failures = [case.failure]
    with pytest.raises(TakeoverError) as caught:
        client.chat("hello")
    assert (type(caught.value), str(caught.value)) == (case.kind, case.want.format(url=stub.url))
    assert len(stub.requests) == 1


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_stream_raises_the_same_errors(case: Case, client: Client, stub: OpenAIStub) -> None:
    stub.failures = [case.failure]
    with pytest.raises(TakeoverError) as caught:
        next(client.stream("hello"))
    assert (type(caught.value), str(caught.value)) == (case.kind, case.want.format(url=stub.url))


@pytest.mark.parametrize(("header", "want"), [("3", 3.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None)])
def test_how_long_to_wait_is_kept_in_seconds(client: Client, stub: OpenAIStub, header: str, want: float | None) -> None:
    stub.failures = [Failure(429, headers={"Retry-After": header})]
    with pytest.raises(RateLimited) as caught:
        client.chat("hello")
    assert caught.value.retry_after_s == want


@pytest.mark.parametrize("status", [429, 500, 503])
def test_the_sdk_tries_again_what_may_pass(file: Path, stub: OpenAIStub, status: int) -> None:
    stub.failures = [Failure(status, headers={"retry-after-ms": "1"})]
    assert Client.from_file(file, max_retries=1).chat("hello") == HELLO
    assert len(stub.requests) == 2


def test_an_unknown_adapter_is_refused_with_those_there_are(client: Client, stub: OpenAIStub) -> None:
    with pytest.raises(Refused) as caught:
        client.chat("hello", adapter="nobody")
    assert str(caught.value) == (f"there is no adapter 'nobody'\n  Served are {MODEL}, {OTHER}.\n  Name one of these.")
    assert stub.requests == []


@pytest.mark.parametrize(
    ("options", "want"),
    [
        ({"stream": True}, "stream is not an option of chat()\n  Call stream() or astream()."),
        ({"adapter": "billing", "model": MODEL}, "adapter and model are both given\n  Give one of the two."),
    ],
)
def test_a_call_that_contradicts_itself_is_refused(client: Client, options: dict[str, Any], want: str) -> None:
    with pytest.raises(Refused) as caught:
        client.chat("hello", **options)
    assert str(caught.value) == want


def test_a_protocol_that_is_not_built_is_refused(tmp_path: Path) -> None:
    save_outputs(tmp_path / "e.json", outputs_for("https://x.test").model_copy(update={"protocol": "vertex"}))
    with pytest.raises(Refused) as caught:
        Client.from_file(tmp_path / "e.json")
    assert str(caught.value) == (
        "the protocol vertex of local is not built yet\n"
        "  This client speaks openai and sagemaker.\n"
        "  Ask the endpoint with the vendor's own SDK, or use a tier that speaks openai."
    )


@pytest.mark.parametrize(
    ("value", "want"),
    [
        pytest.param("", "the environment variable TAKEOVER_ENDPOINT is not set", id="not set"),
        pytest.param(f'{{"apiKey": "{KEY}"', "TAKEOVER_ENDPOINT: the outputs are no JSON", id="cut off"),
    ],
)
def test_a_variable_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch, value: str, want: str) -> None:
    monkeypatch.setenv("TAKEOVER_ENDPOINT", value)
    with pytest.raises(Refused) as caught:
        Client.from_env()
    assert str(caught.value).splitlines()[0] == want
    assert KEY not in str(caught.value)


def test_the_key_is_in_no_repr_and_in_no_log(
    client: Client, stub: OpenAIStub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stub.failures = [Failure(401, f"Wrong key {KEY}.")]
    with pytest.raises(AuthError) as caught:
        client.chat("hello")
    client.chat("hello")
    assert repr(client) == f"Client(provider='local', url='{stub.url}', model='{MODEL}')"
    assert caplog.records
    assert KEY not in caplog.text + repr(client.outputs) + repr(caught.value) + repr(vars(client))
