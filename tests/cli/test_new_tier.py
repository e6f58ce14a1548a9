"""docs/new-tier.md is carried out: its code blocks, as they stand there, make a tier that deploys."""

from __future__ import annotations

import importlib
import json
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

import components
import takeover.providers
from components import component_for
from components.hosting import Hosting
from takeover import tiers
from takeover.errors import AuthError, Refused
from takeover.providers import provider_for
from takeover.providers._base import EndpointSpec, InferenceProvider, TrainedModel
from takeover.tiers import Feature, Tier

PAGE = Path(__file__).parents[2] / "docs" / "new-tier.md"
KEY = "nb-that-must-not-be-seen"
SPEC = EndpointSpec(name="demo-dev-0a1b2c3d", base="tiny")


def model(mark: str, rank: int = 8) -> TrainedModel:
    digest = "sha256:" + mark * 64
    return TrainedModel(name="tone", digest=digest, served_name=f"tone@{mark * 12}", path="p", base="tiny", rank=rank)


class Nimbus(BaseHTTPRequestHandler):
    """The vendor: `endpoints` by name. What is not described is a violation."""

    endpoints: dict[str, Any]
    violations: list[str]

    def answer(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = re.fullmatch(r"/endpoints/([a-z0-9-]+)", self.path)
        if found is None or self.headers["Authorization"] != f"Bearer {KEY}":
            self.violations.append(f"{self.command} {self.path}")
        name = self.path.rpartition("/")[2]
        if self.command == "PUT":
            body = json.loads(text)
            self.violations += [key for key in body if key not in ("base", "adapters", "labels")]
            self.endpoints[name] = {**body, "url": "https://nimbus.example/v1", "key": "of-the-endpoint"}
        value = self.endpoints.get(name)
        if self.command == "DELETE":
            self.endpoints.pop(name)
        data = json.dumps(value or {"error": {"message": "no such endpoint"}}).encode()
        self.send_response(404 if value is None else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.answer()

    def do_PUT(self) -> None:
        self.answer()

    def do_DELETE(self) -> None:
        self.answer()

    def log_message(self, *_: object) -> None:
        """Nothing on the test's screen."""


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Nimbus]]:
    kind = type("Fresh", (Nimbus,), {"endpoints": {}, "violations": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("NIMBUS_BASE_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("NIMBUS_API_KEY", KEY)
        yield kind
        server.shutdown()
    assert kind.violations == []


@pytest.fixture
def nimbus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tier]:
    """The page's files beside the project's own, and its record in the registry."""
    blocks = dict(re.findall(r"^```python\n# (\S+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    assert list(blocks) == ["takeover/providers/nimbus.py", "takeover/tiers/_nimbus.py", "components/nimbus.py"]
    for name in ("takeover/providers/nimbus.py", "components/nimbus.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(blocks[name])
    folders = {takeover.providers: tmp_path / "takeover/providers", components: tmp_path / "components"}
    for package, folder in folders.items():
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    importlib.invalidate_caches()
    made: dict[str, Any] = {}
    exec(compile(blocks["takeover/tiers/_nimbus.py"], str(PAGE), "exec"), made)
    record: Tier = made["NIMBUS"]
    monkeypatch.setattr(tiers, "TIERS", MappingProxyType({**tiers.TIERS, record.name: record}))
    yield record
    for name in ("takeover.providers.nimbus", "components.nimbus"):
        sys.modules.pop(name, None)
    vars(takeover.providers).pop("nimbus", None)
    vars(components).pop("nimbus", None)


async def test_the_page_s_provider_deploys_changes_and_destroys(nimbus: Tier, vendor: type[Nimbus]) -> None:
    provider = provider_for("nimbus")
    assert isinstance(provider, InferenceProvider)
    assert await provider.find(SPEC.name) is None
    await provider.deploy((model("a"),), SPEC)
    endpoint = await provider.deploy((model("b"),), SPEC)
    told = await provider.describe(endpoint)
    assert told is not None
    assert (told.digests, told.models, told.base) == ((model("b").digest,), ("tone@bbbbbbbbbbbb",), "tiny")
    assert list(vendor.endpoints) == [SPEC.name]
    await provider.destroy(endpoint)
    await provider.destroy(endpoint)
    assert vendor.endpoints == {}


async def test_what_the_page_s_record_denies_is_refused(nimbus: Tier, vendor: type[Nimbus]) -> None:
    provider = provider_for("nimbus")
    assert set(nimbus.supports) == set(Feature)
    with pytest.raises(Refused, match="serves ranks up to 64"):
        await provider.deploy((model("a", rank=128),), SPEC)
    endpoint = await provider.deploy((model("a"),), SPEC)
    with pytest.raises(Refused, match="scales by itself"):
        await provider.scale(endpoint, 2)
    with pytest.raises(Refused, match="counts nothing for us"):
        await provider.get_metrics(endpoint)


async def test_without_its_key_nothing_is_asked(
    nimbus: Tier, vendor: type[Nimbus], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NIMBUS_API_KEY")
    with pytest.raises(AuthError, match="NIMBUS_API_KEY is not set"):
        await provider_for("nimbus").deploy((model("a"),), SPEC)
    assert vendor.endpoints == {}


def test_the_page_s_component_is_the_tier_s(nimbus: Tier) -> None:
    kind = component_for(nimbus)
    assert isinstance(kind, type)
    assert issubclass(kind, Hosting)


def test_every_file_that_the_page_names_exists() -> None:
    named = re.findall(r"`((?:tests|takeover|docs)/[\w./-]+)`", PAGE.read_text())
    assert named
    assert [name for name in named if not (PAGE.parents[1] / name).exists()] == []
