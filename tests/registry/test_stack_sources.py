"""A stack that names an adapter by its address: it is fetched and verified before anything is declared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes.artifacts import make_adapter
from fakes.hub import EXPIRED, FakeHub
from fakes.registry_help import TONE, at_head

from components.program import open_adapters
from takeover.adapter import Adapter
from takeover.errors import AuthError, Refusals
from takeover.registry import parse_address, push
from takeover.settings import Settings, parse_settings


def settings_of(*adapters: dict[str, Any]) -> Settings:
    raw = {"hosting": {"environment": "development", "provider": "local"}, "adapters": list(adapters)}
    return parse_settings({key: json.dumps(value) for key, value in raw.items()}, stack="dev")


def source_of(adapter: Adapter, source: object) -> dict[str, str]:
    return {"source": str(source), "digest": adapter.digest}


def test_adapters_by_address_and_folders_are_opened_side_by_side(
    hub: FakeHub, adapter: Adapter, tmp_path: Path
) -> None:
    folder = make_adapter(tmp_path / "plain", seed=1, name="plain")
    published = make_adapter(tmp_path / "kept", seed=2, name="kept")
    address = push(adapter.path, TONE).address
    push(published.path, parse_address(f"file://{tmp_path}/published/kept"))
    settings = settings_of(
        source_of(adapter, address),
        source_of(folder, "plain"),
        {"source": f"published/kept@{published.digest}"},
    )
    found = open_adapters(settings, tmp_path)
    assert [each.manifest for each in found] == [each.manifest for each in (adapter, folder, published)]


def test_all_that_is_wrong_is_told_at_once(hub: FakeHub, adapter: Adapter, tmp_path: Path) -> None:
    push(adapter.path, TONE)
    forged = hub.repos["acme/tone"]
    weights = forged.head.files["adapter_model.safetensors"]
    forged.large[weights.lfs or ""] = b"\0" * weights.size
    settings = settings_of(
        source_of(adapter, at_head(hub)),
        source_of(adapter, TONE.at("0a" * 20)),
        source_of(adapter, "nowhere"),
    )
    with pytest.raises(Refusals) as refused:
        open_adapters(settings, tmp_path)
    assert [str(mistake).splitlines()[0] for mistake in refused.value.mistakes] == [
        f"{at_head(hub)}/adapter_model.safetensors: its bytes are not those that were published",
        f"{TONE.at('0a' * 20)}: there is no such commit, branch or tag",
        f"{tmp_path}/nowhere: there is no such folder",
    ]


def test_an_expired_token_is_an_error_of_its_own(
    hub: FakeHub, adapter: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = push(adapter.path, TONE).address
    monkeypatch.setenv("HF_TOKEN", EXPIRED)
    with pytest.raises(AuthError, match="the Hugging Face Hub does not accept the token"):
        open_adapters(settings_of(source_of(adapter, address)), tmp_path)
