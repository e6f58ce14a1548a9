"""`takeover tiers`: everything that the registry says, and nothing heavy on the way."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from takeover.cli import app
from takeover.cli._terminal import out
from takeover.errors import Refused
from takeover.tiers import TIERS, Feature, No, Tier, all_tiers

LOCAL = TIERS["local"]


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["tiers", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_matrix_has_a_column_for_each_tier_and_a_row_for_each_feature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out, "width", 200)
    said = run()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.splitlines() if line.startswith("│")]
    rows = {first: rest for first, *rest in cells}
    assert [record.name for record in all_tiers() if record.name not in said] == []
    assert [feature.value for feature in Feature if feature.value not in rows] == []
    assert {feature.value: rows[feature.value].count("no") for feature in Feature} == {
        feature.value: sum(not record.answers(feature) for record in all_tiers()) for feature in Feature
    }


@pytest.mark.parametrize("record", all_tiers(), ids=lambda record: record.row)
def test_one_tier_comes_with_its_reasons_and_the_way_round(record: Tier) -> None:
    said = run(record.row)
    denied = [answer for answer in record.supports.values() if isinstance(answer, No)]
    assert denied
    assert [answer for answer in denied if f"no: {answer.reason}; use {answer.instead}\n" not in said] == []
    assert f"what it is                          {record.summary}\n" in said


def test_json_is_the_whole_record() -> None:
    said = json.loads(run("local", "--json"))
    assert said["supports"]["scale to zero"] == {
        "answer": False,
        "reason": "a local process runs until it is taken down",
        "instead": "`takeover destroy`",
    }
    assert (said["name"], said["largestRank"], said["coldStart"]["lowMs"]) == ("local", LOCAL.largest_rank, 8000)
    assert [record["name"] for record in json.loads(run("--json"))] == [record.name for record in all_tiers()]


def test_an_unknown_tier_is_refused_with_those_there_are() -> None:
    with pytest.raises(Refused, match=r"no tier 'nimbus'") as caught:
        run("nimbus")
    assert ", ".join(TIERS) in str(caught.value)


def test_nothing_is_imported_that_would_make_it_slow() -> None:
    slow = ("httpx", "pulumi", "openai", "modal", "torch", "ruamel")
    code = (
        "import sys; from typer.testing import CliRunner; from takeover.cli import app;"
        "CliRunner().invoke(app, ['tiers'], catch_exceptions=False);"
        f"print([name for name in {slow!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"
