"""What an application imports stays light; the time itself is a figure of `make bench`."""

from __future__ import annotations

import subprocess
import sys

import pytest

CLOUDS_AND_ENGINES = ("torch", "transformers", "pulumi", "grpc", "openai", "httpx", "httpx2", "ruamel", "rich", "typer")


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("takeover", ("pydantic", "asyncio", *CLOUDS_AND_ENGINES)),
        ("takeover.outputs", CLOUDS_AND_ENGINES),
        ("takeover.client", CLOUDS_AND_ENGINES),
        ("takeover.settings", CLOUDS_AND_ENGINES),
    ],
)
def test_an_import_brings_no_more_than_it_needs(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
