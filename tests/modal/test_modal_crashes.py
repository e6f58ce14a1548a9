"""A real `modal deploy` that is killed right after each call that changes something: the next deploy makes it good."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.artifacts import make_adapter
from fakes.modal_server import FakeModal
from modal_life import settings_for

from takeover.adapter import Adapter
from takeover.modal_contract import container_environment, parse_container_settings
from takeover.providers._base import EndpointSpec
from takeover.providers._modal_source import APP_FILE, ROOT
from takeover.providers.modal import ModalProvider

pytestmark = pytest.mark.slow

# In the order in which a first deploy makes them; those between them change nothing that outlives the deploy.
CHANGING = ["VolumePutFiles", "AppCreate", "ImageGetOrCreate", "FunctionCreate", "AppPublish"]
PATIENCE_S = 60


def start(modal: FakeModal, adapter: Adapter, name: str) -> subprocess.Popen[bytes]:
    settings = settings_for(adapter, name=name)
    return subprocess.Popen(
        [sys.executable, "-m", "modal", "deploy", str(APP_FILE)],
        cwd=ROOT,
        env={**os.environ, **modal.environment, **container_environment(settings)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.fixture
def killed(modal: FakeModal, tmp_path: Path) -> Adapter:
    """One deploy for each call, under a name of its own, killed when the fake has answered that call."""
    adapter = make_adapter(tmp_path / "tone", seed=1, name="tone")
    for call in CHANGING:
        with modal.killing_after(call) as answered:
            process = start(modal, adapter, f"cut-{call.lower()}")
            assert answered.wait(PATIENCE_S), call
            process.kill()
            assert process.wait(PATIENCE_S) == -signal.SIGKILL
    return adapter


def running(modal: FakeModal, name: str) -> list[list[str]]:
    """The digests that each running app of that name serves."""
    apps = [app for app in modal.state.apps.values() if app.name == name and app.is_running]
    told = [parse_container_settings(modal.state.environment_of(modal.state.service(app).definition)) for app in apps]
    return [[adapter.digest for adapter in settings.served] for settings in told]


async def test_whatever_call_a_deploy_was_killed_after_the_next_one_leaves_one_app_or_a_destroy_none(
    modal: FakeModal, killed: Adapter
) -> None:
    names = [f"cut-{call.lower()}" for call in CHANGING]
    provider, model = ModalProvider(), killed.trained_model()
    specs = [EndpointSpec(name=name, base="tiny", min_replicas=0) for name in names]
    mended = await asyncio.gather(*(provider.deploy((model,), spec) for spec in specs[::2]))
    assert [running(modal, endpoint.name) for endpoint in mended] == [[[killed.digest]]] * len(mended)
    assert [endpoint.models for endpoint in mended] == [(killed.served_name,)] * len(mended)
    for name in names:
        found = await provider.find(name)
        await provider.destroy(found or mended[0].model_copy(update={"id": name, "name": name}))
    assert [running(modal, name) for name in names] == [[]] * len(names)
    assert [volume.name for volume in modal.state.volumes.values()] == ["takeover-bases"]
