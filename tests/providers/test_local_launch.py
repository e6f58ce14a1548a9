"""The command lines of the local tier's servers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from takeover.errors import Refusals
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.providers._local_engines import (
    build_takeover_launch,
    build_vllm_launch,
    server_command,
    vllm_rank,
)
from takeover.providers._local_options import parse_options
from takeover.settings import LocalOptions

MODEL = TrainedModel(name="a", digest="sha256:1", served_name="a@1", path="/adapters/a", base="tiny", rank=24)
SPEC = EndpointSpec(name="x", base="tiny")
PLAIN = LocalOptions()
SERVER = ("python", "-m", "serving.local")


def test_our_own_server_gets_every_option_and_the_adapters_last() -> None:
    options = parse_options({"dtype": "bfloat16", "maxBatch": 4, "contextLength": 512, "drainSeconds": 5})
    launch = build_takeover_launch(SERVER, Path("/home/x"), 8000, [MODEL], SPEC, options)
    assert " ".join((*launch.command, *launch.adapters)) == (
        "python -m serving.local --state-dir /home/x --base tiny --port 8000 --dtype bfloat16 --max-batch 4"
        " --max-queue 64 --drain-seconds 5 --context-length 512 --adapter a@1=/adapters/a"
    )


def test_vllm_gets_a_rank_that_it_takes_and_its_key_by_the_environment() -> None:
    key = SecretStr("very-secret")
    launch = build_vllm_launch("/venv/python", Path("/bases/tiny"), 8001, [MODEL], SPEC, PLAIN, key)
    assert " ".join((*launch.command, *launch.adapters)) == (
        "/venv/python -m vllm.entrypoints.openai.api_server --host 127.0.0.1 --port 8001 --model /bases/tiny"
        " --served-model-name tiny --dtype auto --max-num-seqs 8 --enable-lora --max-lora-rank 32 --max-loras 2"
        " --max-cpu-loras 2 --shutdown-timeout 30 --lora-modules a@1=/adapters/a"
    )
    assert launch.environment == {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "VLLM_API_KEY": "very-secret"}
    assert "very-secret" not in repr(launch)


@pytest.mark.parametrize(("rank", "taken"), [(1, 1), (2, 8), (16, 16), (65, 128), (257, 320), (512, 512)])
def test_vllm_takes_the_next_of_its_ranks(rank: int, taken: int) -> None:
    assert vllm_rank(rank) == taken


@dataclass(frozen=True)
class Line:
    id: str
    command_line: tuple[str, ...]
    is_same: bool


LAUNCH = build_takeover_launch(SERVER, Path("/home/x"), 8000, [MODEL], SPEC, PLAIN)
LINES = [
    Line("the very same", (*LAUNCH.command, *LAUNCH.adapters), True),
    Line("other adapters, which change at run time", (*LAUNCH.command, "--adapter", "b@2=/b"), True),
    Line("the interpreter by another path", ("/usr/bin/python3.11", *LAUNCH.command[1:]), True),
    Line("another option", tuple("4" if word == "8" else word for word in LAUNCH.command), False),
    Line("another program", ("python", "-m", "http.server"), False),
    Line("a process that does not tell", (), False),
]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.id)
def test_a_running_server_is_known_by_its_command_line(line: Line) -> None:
    assert LAUNCH.started(line.command_line) is line.is_same


def test_tests_may_put_a_stand_in_for_the_server() -> None:
    assert server_command("python 'my fake.py'") == ("python", "my fake.py")
    assert server_command(None)[1:] == ("-m", "serving.local")


def test_wrong_options_are_refused_all_at_once_by_their_places() -> None:
    with pytest.raises(Refusals) as caught:
        parse_options({"port": "many", "maxBatch": 0, "colour": "red"})
    assert sorted(mistake.where for mistake in caught.value.mistakes) == [
        "takeover:local.colour",
        "takeover:local.maxBatch",
        "takeover:local.port",
    ]
