"""`takeover ask` and `takeover outputs` as somebody types them."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.endpoints import outputs_for
from fakes.openai_stub import BASE, KEY, MODEL, OpenAIStub

from takeover import cli
from takeover.outputs import EndpointOutputs, example, save_outputs

OTHER = "billing@0123456789ab"


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str = ""


Run = Callable[..., Ran]


@pytest.fixture
def stub() -> Iterator[OpenAIStub]:
    with OpenAIStub(models=(MODEL, OTHER)) as server:
        yield server


@pytest.fixture
def file(stub: OpenAIStub, tmp_path: Path) -> str:
    save_outputs(tmp_path / "endpoint.json", outputs_for(stub.url, models=(MODEL, OTHER)))
    return str(tmp_path / "endpoint.json")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process: `run("ask", "hello", stdin="...")`."""

    def ran(*arguments: str, stdin: str = "") -> Ran:
        monkeypatch.setattr(sys, "argv", ["takeover", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        captured = capsys.readouterr()
        return Ran(int(exit_.value.code or 0), captured.out, captured.err)

    return ran


def test_the_answer_is_all_that_stands_on_stdout(run: Run, file: str, stub: OpenAIStub) -> None:
    ran = run("ask", "hello", "--outputs", file, "--max-tokens", "9", "--temperature", "0")
    assert ran == Ran(0, f"{MODEL} says: hello\n")
    assert stub.requests == [
        {
            "model": MODEL,
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": 9,
            "temperature": 0.0,
            "stream": True,
        }
    ]


def test_a_question_may_be_piped_in(run: Run, file: str) -> None:
    assert run("ask", "--outputs", file, stdin="hello") == Ran(0, f"{MODEL} says: hello\n")


def test_another_adapter_may_be_asked(run: Run, file: str) -> None:
    assert run("ask", "hello", "--outputs", file, "--adapter", "billing") == Ran(0, f"{OTHER} says: hello\n")


def test_the_whole_reply_as_json(run: Run, file: str) -> None:
    ran = run("ask", "hello", "--outputs", file, "--json")
    assert json.loads(ran.out) == {
        "text": f"{MODEL} says: hello",
        "model": MODEL,
        "finishReason": "stop",
        "usage": {"promptTokens": 5, "completionTokens": 7, "totalTokens": 12},
    }


def test_base_and_adapter_are_asked_the_same_at_temperature_0(run: Run, file: str, stub: OpenAIStub) -> None:
    ran = run("ask", "hello", "--outputs", file, "--beside-base", "--max-tokens", "9")
    assert [f"base: {BASE}" in ran.out, f"adapter: {MODEL}" in ran.out] == [True, True]
    assert [f"{BASE} says: hello" in ran.out, f"{MODEL} says: hello" in ran.out] == [True, True]
    same = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 9, "temperature": 0}
    asked = sorted(stub.requests, key=lambda request: request["model"])
    assert asked == [{"model": MODEL, **same}, {"model": BASE, **same}]


@pytest.mark.parametrize("option", [[], ["--beside-base"]])
def test_a_model_cannot_command_the_terminal(
    run: Run, file: str, option: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    ran = run("ask", "\x1b[2Jhello\nworld", "--outputs", file, *option)
    assert ("says: [2Jhello" in ran.out, "world" in ran.out, "\x1b[2J" in ran.out) == (True, True, False)


def test_what_is_piped_on_is_what_the_model_wrote(run: Run, file: str) -> None:
    assert run("ask", "\x1b[2Jhello", "--outputs", file) == Ran(0, f"{MODEL} says: \x1b[2Jhello\n")


def test_base_and_adapter_as_json(run: Run, file: str) -> None:
    ran = run("ask", "hello", "--outputs", file, "--beside-base", "--json")
    document = json.loads(ran.out)
    assert (document["prompt"], document["base"]["text"], document["adapter"]["text"]) == (
        "hello",
        f"{BASE} says: hello",
        f"{MODEL} says: hello",
    )


@pytest.mark.parametrize(
    ("arguments", "want"),
    [
        pytest.param(
            ["ask", "hello", "--adapter", "nobody"],
            f"error: there is no adapter 'nobody'\n  Served are {MODEL}, {OTHER}.\n  Name one of these.\n",
            id="an unknown adapter",
        ),
        pytest.param(
            ["ask", "hello", "--stack", "dev"],
            "error: --stack and --outputs are both given\n  Give one of the two.\n",
            id="a stack and a file",
        ),
        pytest.param(
            ["ask"],
            'error: there is no question\n  Type one, or pipe it in: takeover ask "How do I reset my password?"\n',
            id="no question",
        ),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(run: Run, file: str, arguments: list[str], want: str) -> None:
    assert run(*arguments, "--outputs", file) == Ran(2, "", want)


def test_an_error_as_json_is_a_document_too(run: Run, tmp_path: Path) -> None:
    ran = run("ask", "hello", "--json", "--outputs", str(tmp_path / "none.json"))
    assert (ran.code, json.loads(ran.out)["error"], ran.err) == (2, "Refused", "")


def test_a_dead_endpoint_is_the_other_sides_failure(run: Run, file: str, stub: OpenAIStub) -> None:
    stub.stop()
    ran = run("ask", "hello", "--outputs", file)
    assert (ran.code, ran.out, ran.err.splitlines()[0]) == (5, "", f"error: nothing answers at {stub.url}")


def test_an_answer_that_breaks_off_leaves_the_error_on_a_line_of_its_own(run: Run, file: str, stub: OpenAIStub) -> None:
    stub.cut_after = 1
    ran = run("ask", "hello", "--outputs", file)
    want = f"error: the answer of {stub.url} broke off"
    assert (ran.code, ran.out, ran.err.splitlines()[0]) == (5, f"{MODEL}\n", want)


def test_outputs_are_shown_without_the_key(run: Run, file: str, stub: OpenAIStub) -> None:
    assert run("outputs", "--outputs", file) == Ran(
        0,
        "provider      local\n"
        f"url           {stub.url}\n"
        "protocol      openai\n"
        f"model         {MODEL}\n"
        f"digest        sha256:3fa9c1d20b77{'0' * 52}\n"
        f"also served   {OTHER}\n"
        "apiKey        [secret]\n"
        "coldStart     expected at most 60000 ms, measured 14200 ms\n"
        "replicas      1 to 1, 1 ready\n"
        "plan          0.00 USD a month, 0.00 per million tokens\n",
    )


@pytest.mark.parametrize(("option", "key"), [([], "[secret]"), (["--show-secrets"], KEY)])
def test_outputs_as_json_show_the_key_only_when_asked(run: Run, file: str, option: list[str], key: str) -> None:
    assert json.loads(run("outputs", "--outputs", file, "--json", *option).out)["apiKey"] == key


def test_what_json_with_secrets_prints_is_a_file_that_can_be_asked(run: Run, file: str, tmp_path: Path) -> None:
    printed = tmp_path / "printed.json"
    printed.write_text(run("outputs", "--outputs", file, "--json", "--show-secrets").out)
    assert run("ask", "hello", "--outputs", str(printed)) == Ran(0, f"{MODEL} says: hello\n")


def test_an_example_needs_no_endpoint(run: Run) -> None:
    shown = json.loads(run("outputs", "--example", "--json", "--show-secrets").out)
    assert EndpointOutputs.model_validate(shown) == example()
