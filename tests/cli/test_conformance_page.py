"""docs/conformance.json is of the suite as it is now: every record, every case, all passed."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from takeover.tiers import all_tiers

ROOT = Path(__file__).parents[2]
FOUND = json.loads((ROOT / "docs" / "conformance.json").read_text())


def cases_of_the_suite() -> set[str]:
    """The tests that run on a tier's ground."""
    trees = [ast.parse(file.read_text()) for file in (ROOT / "tests" / "conformance").glob("test_*.py")]
    functions = [node for tree in trees for node in tree.body if isinstance(node, ast.AsyncFunctionDef)]
    tests = [each for each in functions if each.name.startswith("test_")]
    return {each.name for each in tests if "ground" in [argument.arg for argument in each.args.args]}


def test_every_tier_has_a_row_with_every_case_that_it_denies_or_can_do() -> None:
    denied = {"test_what_the_registry_denies_is_refused_in_its_words"}
    records = [record.row for record in all_tiers()]
    rows = {row: set(FOUND.get(row, {})) | denied for row in records}
    assert rows == dict.fromkeys(records, cases_of_the_suite()), "run `make conformance` and commit what it writes"


def test_everything_passed_and_requests_were_checked() -> None:
    cells = [(tier, case, cell) for tier, row in FOUND.items() for case, cell in row.items()]
    assert [(tier, case) for tier, case, cell in cells if cell["passed"] != cell["run"] or not cell["run"]] == []
    assert [tier for tier, row in FOUND.items() if sum(cell["requests"] or 0 for cell in row.values()) < 50] == []
