"""`takeover fit`, as somebody calls it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner, Result

from takeover.cli import app
from takeover.errors import Refused

BASE = "meta-llama/Llama-3.1-8B-Instruct"


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["fit", "--base", BASE, *words], env={"COLUMNS": "200"})


def test_what_fits_is_shown_with_each_term_and_the_flags() -> None:
    result = run("--gpu", "L40S", "--rank", "64", "--concurrency", "4")
    assert result.exit_code == 0
    for words in ("weights", "14.96", "LoRA slots", "KV cache", "needed", "available"):
        assert words in result.stdout
    assert f"{BASE} with 4 x 8192 tokens fits on 1 x L40S: it needs " in result.stdout
    assert "--max-lora-rank 64 --max-model-len 8192 --max-num-seqs 16" in result.stdout


def test_what_does_not_fit_ends_with_2_and_with_what_would() -> None:
    result = run("--instance", "g6.xlarge", "--concurrency", "8")
    assert result.exit_code == 2
    assert "lacks 3.48 GiB on 1 x L4" in result.stdout
    assert result.stderr.startswith("What would fit: 1 x L40S (g6e.xlarge), ")


def test_a_program_reads_the_same_as_json() -> None:
    result = run("--instance", "ml.g6.12xlarge", "--gpus", "2", "--adapters", "0", "--json")
    value = json.loads(result.stdout)
    assert (result.exit_code, value["fits"], value["gpu"], value["tensorParallel"]) == (0, True, "L4", 2)
    assert [term["name"] for term in value["terms"]] == [
        "weights",
        "activations",
        "CUDA graphs",
        "CUDA and libraries",
        "KV cache",
    ]
    assert value["totalBytes"] == sum(term["bytes"] for term in value["terms"]) <= value["availableBytes"]
    assert (value["flags"][:2], value["whatWouldFit"]) == (["--max-model-len", "8192"], [])


def test_without_a_machine_the_smallest_ones_are_named() -> None:
    result = run("--concurrency", "8", "--json")
    assert json.loads(result.stdout)[0] == "1 x L40S (g6e.xlarge)"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("--gpu", "L4", "--instance", "g6.xlarge"), "--gpu and --instance are both given", id="both"),
        pytest.param(
            ("--instance", "g6.xlarge", "--gpus", "2"), "g6.xlarge has 1 GPUs, and 2 are asked for", id="more"
        ),
        pytest.param(("--instance", "m7i.large"), "'m7i.large' is no instance type with a known GPU", id="no GPU"),
        pytest.param(("--gpu", "L4", "--rank", "600"), "the adapter's rank 600 is more than vLLM takes", id="rank"),
        pytest.param(("--gpu", "L4", "--base", "org/another"), "the base 'org/another' is of no known form", id="base"),
    ],
)
def test_what_makes_no_sense_is_refused(words: tuple[str, ...], said: str) -> None:
    error = run(*words).exception
    assert isinstance(error, Refused)
    assert error.happened == said
