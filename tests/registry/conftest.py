"""The fake Hub for a test: huggingface_hub finds it, has a home of its own, and waits on no clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.artifacts import make_adapter
from fakes.hub import WRITER, FakeHub
from fakes.registry_help import Clock

from takeover.adapter import Adapter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """In place of `time` where the Hub's client and ours would wait."""
    from huggingface_hub import file_download
    from huggingface_hub.utils import _http

    from takeover import hub_client
    from takeover.registry import _hub_push
    from takeover.registry import hub as hub_module

    made = Clock()
    for module in (_http, file_download, hub_client, hub_module, _hub_push):
        monkeypatch.setattr(module, "time", made)
    return made


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[FakeHub]:
    """A Hub whose every request must be as the Hub describes it, and a token that may write to acme."""
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session

    for name, value in {
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_CACHE": str(tmp_path / "hf" / "hub"),
        "HF_TOKEN_PATH": str(tmp_path / "hf" / "token"),
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setenv("TAKEOVER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", WRITER)
    close_session()
    with FakeHub() as made:
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        yield made
        close_session()
    assert made.complaints == []


@pytest.fixture
def adapter(tmp_path: Path) -> Adapter:
    """An adapter with a report, as training leaves it."""
    report = tmp_path / "report"
    report.mkdir()
    (report / "curves.png").write_bytes(b"\x89PNG\0\0")
    (report / "curves.svg").write_text("<svg/>")
    (report / "answers.md").write_text("# Answers\n")
    return make_adapter(tmp_path / "tone", report=report)
