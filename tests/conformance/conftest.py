"""Fixtures of the conformance suite (ground.py, worlds.py), and what docs/conformance.md is made of.

With CONFORMANCE_JSON=FILE in the environment a run writes what it found there: record -> case -> tests run, passed, and
requests checked. `make conformance` does so for docs/conformance.json.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path

import pytest
from ground import ROWS, ground

__all__ = ["ground"]

_TARGET = os.environ.get("CONFORMANCE_JSON")
_found: dict[str, dict[str, dict[str, int | None]]] = defaultdict(dict)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    tier = next((name for name in sorted(ROWS, key=len, reverse=True) if f"[{name}" in report.nodeid), None)
    if not _TARGET or tier is None or "conformance" not in report.nodeid:
        return
    case = report.nodeid.rpartition("::")[2].partition("[")[0]
    row = _found[tier].setdefault(case, {"run": 0, "passed": 0, "requests": None})
    properties = dict(report.user_properties)
    if report.when == "call":
        row["run"] = (row["run"] or 0) + 1
        row["passed"] = (row["passed"] or 0) + int(report.passed)
    elif report.when == "teardown" and properties.get("requests") is not None:
        row["requests"] = (row["requests"] or 0) + int(str(properties["requests"]))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _TARGET and not hasattr(session.config, "workerinput"):
        Path(_TARGET).write_text(json.dumps(_found, indent=2, sort_keys=True) + "\n")
