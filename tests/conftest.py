"""For every test: no network but the loopback (pytest-socket), no vendor's variables, a home apart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before torch is imported: tests run side by side, and OpenMP threads that share a core wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_OURS_AND_VENDORS = ("TAKEOVER_", "PULUMI_", "HF_", "HUGGINGFACE_", "OPENAI_", "MODAL_", "AWS_", "VLLM_")
_KEPT = {"TAKEOVER_CACHE", "TAKEOVER_UV"}


# What other libraries say of each other, where nothing of ours could be written otherwise.
_OF_OTHERS = (
    # huggingface_hub 2.4 hands bytes to httpx2 in the manner of requests.
    "ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning",
    # peft 0.21 asks transformers 5.24 for the attribute's old name.
    "ignore:.is_gradient_checkpointing. is deprecated:FutureWarning",
    # pulumi_aws's own classes, when all of a module is looked at.
    "ignore:.* has been deprecated in favor of:DeprecationWarning:pulumi_aws",
)


def pytest_configure(config: pytest.Config) -> None:
    for line in _OF_OTHERS:
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Variables of ours and of vendors are gone, and TAKEOVER_HOME is a folder of the test's own."""
    for variable in list(os.environ):
        if variable.startswith(_OURS_AND_VENDORS) and variable not in _KEPT:
            monkeypatch.delenv(variable)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("TAKEOVER_HOME", str(home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return home


@pytest.fixture(scope="session")
def engine() -> Path:
    """The real engine; a test that needs it skips where none can be had, and says why."""
    from takeover.engine import binary

    try:
        return binary.find_or_install()
    except binary.EngineMissing as missing:
        pytest.skip(str(missing))
