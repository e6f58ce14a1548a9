"""The surface of a vLLM server, asked by the OpenAI SDK and by plain HTTP."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from live import LiveServer
from openai import BadRequestError, NotFoundError

from takeover.adapter import Adapter

MESSAGES = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Where is my parcel? 🙂"}]
NO_EOS: dict[str, Any] = {"extra_body": {"ignore_eos": True}}


def ask(server: LiveServer, model: str, **options: Any) -> str:
    given: dict[str, Any] = {"model": model, "messages": MESSAGES, "max_tokens": 30, "seed": 5, **NO_EOS, **options}
    text = server.openai().chat.completions.create(**given).choices[0].message.content
    assert text is not None
    return text


def test_a_chat_is_what_transformers_writes(server: LiveServer, polite: Adapter, reference: Any) -> None:
    tokenizer = server.engine.loaded.tokenizer
    ids = tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    options = {"max_new_tokens": 30, "min_new_tokens": 30, "do_sample": False, "adapter_names": ["polite"]}
    answer = reference.generate(**ids, **options)[0, ids["input_ids"].shape[1] :]
    text = tokenizer.decode(answer, skip_special_tokens=True)
    assert ask(server, polite.served_name, temperature=0) == text.rstrip("\ufffd")


def test_the_whole_answer(server: LiveServer, polite: Adapter) -> None:
    answer = server.openai().chat.completions.create(
        model=polite.served_name, messages=MESSAGES, max_tokens=7, seed=5, **NO_EOS
    )
    whole = answer.model_dump(exclude_none=True)
    prompt_tokens = (
        sum(len(message["content"].encode()) for message in MESSAGES) + 3 * 2 + len("systemuserassistant\n\n\n\n\n")
    )
    assert whole == {
        "id": answer.id,
        "object": "chat.completion",
        "created": answer.created,
        "model": polite.served_name,
        "choices": [
            {
                "index": 0,
                "finish_reason": "length",
                "message": {"role": "assistant", "content": answer.choices[0].message.content},
            }
        ],
        "usage": {"prompt_tokens": prompt_tokens - 1, "completion_tokens": 7, "total_tokens": prompt_tokens + 6},
    }


def test_a_stream_is_the_same_text_with_its_usage(server: LiveServer, polite: Adapter) -> None:
    whole = ask(server, polite.served_name)
    given: dict[str, Any] = {"model": polite.served_name, "messages": MESSAGES, "max_tokens": 30, "seed": 5, **NO_EOS}
    chunks = list(server.openai().chat.completions.create(**given, stream=True, stream_options={"include_usage": True}))
    *texts, last = chunks
    assert "".join(chunk.choices[0].delta.content or "" for chunk in texts) == whole
    assert [chunk.choices[0].finish_reason for chunk in texts] == [None] * (len(texts) - 1) + ["length"]
    assert texts[0].choices[0].delta.role == "assistant"
    assert last.usage is not None
    assert (last.choices, last.usage.completion_tokens) == ([], 30)
    assert {chunk.id for chunk in chunks} == {chunks[0].id}


def test_a_stream_without_wanting_usage_has_none(server: LiveServer) -> None:
    chunks = list(
        server.openai().chat.completions.create(
            model="tiny", messages=MESSAGES, max_tokens=3, seed=5, stream=True, **NO_EOS
        )
    )
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)


def test_a_stream_ends_as_openai_says(server: LiveServer) -> None:
    body = {"prompt": "hi", "max_tokens": 2, "stream": True, "seed": 5}
    with server.http() as http:
        answer = http.post("/v1/completions", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")


def test_continuous_usage_counts_up(server: LiveServer) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    body = {"prompt": "hi", "max_tokens": 4, "stream": True, "stream_options": options, "temperature": 0}
    with server.http() as http:
        lines = http.post("/v1/completions", json=body).text.split("\n\n")
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    counted = [chunk["usage"]["completion_tokens"] for chunk in chunks]
    assert counted == sorted(counted)
    assert counted[-2:] == [4, 4]


def test_the_same_seed_gives_the_same_answer(server: LiveServer) -> None:
    same = {ask(server, "tiny", seed=3), ask(server, "tiny", seed=3)}
    assert (len(same), ask(server, "tiny", seed=4) in same) == (1, False)


def test_the_same_seed_gives_the_same_answer_in_company(server: LiveServer) -> None:
    """In one request with others, so that all are in one batch."""
    given: dict[str, Any] = {"model": "tiny", "max_tokens": 20, "seed": 3, **NO_EOS}
    alone = server.openai().completions.create(prompt="hello", **given).choices[0].text
    together = server.openai().completions.create(prompt=["a", "hello", "much longer than the others"], **given)
    assert (together.choices[1].text, [choice.index for choice in together.choices]) == (alone, [0, 1, 2])


def test_two_adapters_and_the_base_in_one_batch_answer_as_each_alone(
    server: LiveServer, polite: Adapter, terse: Adapter
) -> None:
    names = [polite.served_name, "tiny", terse.served_name, "tiny", polite.served_name]
    alone = {name: ask(server, name, temperature=0) for name in names}
    with ThreadPoolExecutor(len(names)) as pool:
        with server.held():
            waiting = [pool.submit(ask, server, name, temperature=0) for name in names]
            while server.engine.scheduler.waiting < len(names):
                pass
        together = [each.result() for each in waiting]
    assert together == [alone[name] for name in names]
    assert len(set(alone.values())) == 3


def test_a_stop_string_over_several_tokens_ends_the_answer(server: LiveServer) -> None:
    whole = ask(server, "tiny", seed=1)
    stop = whole[9:12]
    answer = server.openai().chat.completions.create(
        model="tiny", messages=MESSAGES, max_tokens=30, seed=1, stop=["never there", stop], **NO_EOS
    )
    choice = answer.choices[0].model_dump()
    found = (choice["message"]["content"], choice["finish_reason"], choice["stop_reason"])
    assert found == (whole[: whole.index(stop)], "stop", stop)


def test_a_streamed_stop_string_is_not_shown(server: LiveServer) -> None:
    whole = ask(server, "tiny", seed=1)
    stop = whole[9:12]
    chunks = server.openai().chat.completions.create(
        model="tiny", messages=MESSAGES, max_tokens=30, seed=1, stop=stop, stream=True, **NO_EOS
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole[: whole.index(stop)]


def test_prompts_may_be_token_ids(server: LiveServer) -> None:
    ids = server.engine.loaded.tokenizer("hello")["input_ids"]
    given: dict[str, Any] = {"model": "tiny", "max_tokens": 5, "temperature": 0}
    texts = [
        [choice.text for choice in server.openai().completions.create(prompt=prompt, **given).choices]
        for prompt in ("hello", ids, [ids, ids], ["hello", "hello"])
    ]
    assert texts == [texts[0], texts[0], texts[0] * 2, texts[0] * 2]


def test_without_max_tokens_a_completion_has_sixteen(server: LiveServer) -> None:
    answer = server.openai().completions.create(model="tiny", prompt="hi", seed=5, **NO_EOS)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 16


def test_max_completion_tokens_is_the_newer_name(server: LiveServer) -> None:
    answer = server.openai().chat.completions.create(
        model="tiny", messages=MESSAGES, max_completion_tokens=3, max_tokens=9, seed=5, **NO_EOS
    )
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3


def test_parts_of_text_are_one_text(server: LiveServer) -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    given: dict[str, Any] = {"temperature": 0, "max_tokens": 6}
    in_parts = ask(server, "tiny", messages=[{"role": "user", "content": parts}], **given)
    assert in_parts == ask(server, "tiny", messages=[{"role": "user", "content": "one\ntwo"}], **given)


def test_an_answer_that_was_begun_is_continued(server: LiveServer) -> None:
    begun = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Dear"}]
    extra = {"continue_final_message": True, "add_generation_prompt": False, "ignore_eos": True}
    answer = server.openai().chat.completions.create(
        model="tiny", messages=begun, max_tokens=2, temperature=0, extra_body=extra
    )
    text = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nDear"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == len(server.engine.loaded.tokenizer(text)["input_ids"])


@dataclass(frozen=True)
class Refusal:
    """A sound request with one change, and what it is answered."""

    id: str
    change: dict[str, Any]
    message: str
    param: str | None = None
    status: int = 400
    kind: str = "BadRequestError"
    path: str = "/v1/completions"
    body: dict[str, Any] = field(default_factory=lambda: {"prompt": "hi", "max_tokens": 2})


NO_LOGPROBS = "is not served: this server does not compute log-probabilities; use a vLLM tier, or leave it out"
CHAT: dict[str, Any] = {"path": "/v1/chat/completions", "body": {"messages": MESSAGES, "max_tokens": 2}}
LONG = "This model's maximum context length is 2048 tokens. However, your request has {} input tokens"
REFUSALS = [
    Refusal("an unknown model", {"model": "nope"}, "The model `nope` does not exist.", "model", 404, "NotFoundError"),
    Refusal("log-probabilities of a chat", {"logprobs": True}, f"logprobs {NO_LOGPROBS}", "logprobs", **CHAT),
    Refusal("log-probabilities of a completion", {"logprobs": 0}, f"logprobs {NO_LOGPROBS}", "logprobs"),
    Refusal(
        "several answers at once",
        {"n": 2},
        "n is not served: one request gets one answer here; send the request several times, with other seeds",
        "n",
    ),
    Refusal(
        "tools",
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        "tools is not served: this server parses no tool calls; use a vLLM tier, or leave it out",
        "tools",
        **CHAT,
    ),
    Refusal(
        "an answer in JSON",
        {"response_format": {"type": "json_object"}},
        "response_format is not served: this server cannot constrain its answers to a grammar; "
        "use a vLLM tier, or leave it out",
        "response_format",
        **CHAT,
    ),
    Refusal(
        "two fields at once are both named",
        {"echo": True, "suffix": "x"},
        "echo is not served: the prompt is not repeated in the answer; leave it out; "
        "suffix is not served: text is not filled in before a suffix; vLLM refuses it too; leave it out",
        "echo",
    ),
    Refusal(
        "a prompt that fills the context",
        {"prompt": [5] * 2048},
        LONG.format(2048) + ". Please reduce the length of the input messages.",
        "input_tokens",
    ),
    Refusal(
        "prompt and answer longer than the context",
        {"prompt": [5] * 2000, "max_tokens": 49},
        LONG.format(2000) + " and asks for 49 more. Please reduce one or the other.",
        "max_tokens",
    ),
    Refusal("an empty prompt", {"prompt": ""}, "the prompt is empty", "prompt"),
    Refusal("no prompts", {"prompt": []}, "prompt is empty", "prompt"),
    Refusal("a token outside of the vocabulary", {"prompt": [5, 260]}, "a token id is outside of 0 to 259", "prompt"),
    Refusal(
        "a negative temperature",
        {"temperature": -0.1},
        "temperature: Input should be greater than or equal to 0",
        "temperature",
    ),
    Refusal("top_p of 0", {"top_p": 0}, "top_p: Input should be greater than 0", "top_p"),
    Refusal("an empty stop string", {"stop": ["a", ""]}, "stop: String should have at least 1 character", "stop"),
    Refusal(
        "no tokens at all", {"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1", "max_tokens"
    ),
    Refusal(
        "no messages",
        {"messages": []},
        "messages: List should have at least 1 item after validation, not 0",
        "messages",
        **CHAT,
    ),
    Refusal(
        "usage of a stream without a stream",
        {"stream_options": {"include_usage": True}},
        "stream_options can only be given when stream is true",
    ),
    Refusal(
        "more prompts than the queue holds",
        {"prompt": ["x"] * 73},
        "73 prompts in one request are more than the queue holds",
    ),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.id)
def test_a_request_is_refused(server: LiveServer, case: Refusal) -> None:
    with server.http() as http:
        answer = http.post(case.path, json=case.body | case.change)
    error = {"message": case.message, "type": case.kind, "param": case.param, "code": case.status}
    assert (answer.status_code, answer.json()) == (case.status, {"error": error})


def test_several_mistakes_are_told_at_once(server: LiveServer) -> None:
    with server.http() as http:
        answer = http.post("/v1/completions", json={"prompt": "x", "temperature": -1, "top_p": 2, "seed": "s"})
    message = answer.json()["error"]["message"]
    assert [part.partition(":")[0] for part in message.split("; ")] == ["temperature", "top_p", "seed"]


def test_the_sdk_raises_its_own_errors(server: LiveServer) -> None:
    client = server.openai()
    with pytest.raises(NotFoundError, match="The model `nope` does not exist"):
        client.chat.completions.create(model="nope", messages=MESSAGES)
    with pytest.raises(BadRequestError, match="log-probabilities"):
        client.chat.completions.create(model="tiny", messages=MESSAGES, logprobs=True)


def test_values_that_ask_for_nothing_and_unknown_fields_are_taken(server: LiveServer) -> None:
    neutral = {"n": 1, "logprobs": None, "tools": None, "tool_choice": "none", "response_format": {"type": "text"}}
    body = {"messages": MESSAGES, "max_tokens": 2, "user": "me", "a_field_of_tomorrow": {"x": 1}, **neutral}
    with server.http() as http:
        assert http.post("/v1/chat/completions", json=body).status_code == 200


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b'"text"', b"\xff\xfe", b'{"prompt": ' + b"[" * 50_000])
def test_a_body_that_is_no_json_object(server: LiveServer, text: bytes) -> None:
    with server.http() as http:
        answer = http.post("/v1/completions", content=text, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 400)


def test_paths_and_methods_that_there_are_not(server: LiveServer) -> None:
    with server.http() as http:
        answers = [http.get("/v1/nothing"), http.get("/v1/completions")]
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in answers] == [(404, 404), (405, 405)]


def test_a_mistake_of_ours_is_a_500_that_tells_nothing(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret details")

    monkeypatch.setattr(server.engine, "encode_text", fail)
    with server.http() as http:
        answer = http.post("/v1/completions", json={"prompt": "hi"})
    message = "the server failed; its log says why"
    error = {"message": message, "type": "InternalServerError", "param": None, "code": 500}
    assert (answer.status_code, answer.json()) == (500, {"error": error})


def test_the_models(server: LiveServer, polite: Adapter, terse: Adapter) -> None:
    with server.http() as http:
        cards = {card["id"]: card for card in http.get("/v1/models").json()["data"]}
    assert {name: card.get("takeover") for name, card in cards.items()} == {
        "tiny": None,
        polite.served_name: {"digest": polite.digest, "state": "ready"},
        terse.served_name: {"digest": terse.digest, "state": "ready"},
    }
    assert {name: card["parent"] for name, card in cards.items()} == {
        "tiny": None,
        polite.served_name: "tiny",
        terse.served_name: "tiny",
    }
    assert (cards["tiny"]["max_model_len"], cards[terse.served_name]["root"]) == (2048, str(terse.path))


def test_health_and_version(server: LiveServer) -> None:
    with server.http() as http:
        assert (http.get("/health").json(), http.get("/version").json().keys()) == ({"status": "ready"}, {"version"})


def test_eight_clients_at_once_are_all_answered(server: LiveServer) -> None:
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda seed: ask(server, "tiny", seed=seed), range(8)))
    assert texts == [ask(server, "tiny", seed=seed) for seed in range(8)]
