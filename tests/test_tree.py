"""What holds for the tree as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_every_file_with_tests_is_one_that_pytest_collects() -> None:
    files = [path for path in (ROOT / "tests").rglob("*.py") if "def test_" in path.read_text()]
    assert files
    assert [path for path in files if not path.name.startswith("test_")] == []


def test_the_names_of_test_files_are_unique_because_the_folders_are_no_packages() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(
    "module", ["takeover", "takeover.tiers", "takeover.errors", "takeover.cli", "takeover.outputs"]
)
def test_what_an_application_or_the_command_line_imports_brings_no_heavy_library(module: str) -> None:
    heavy = ("torch", "transformers", "pulumi", "openai", "matplotlib", "boto3", "modal", "pulumi_aws")
    code = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
