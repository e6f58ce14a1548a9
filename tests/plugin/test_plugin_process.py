"""The plugin's process: its calls over gRPC, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import grpc
import psutil
import pytest
from google.protobuf import empty_pb2
from plugin_process import EXECUTABLE, PluginProcess
from pulumi.runtime.proto import plugin_pb2, provider_pb2

from plugin.service import VERSION
from plugin.wire import UNKNOWN, from_struct, to_struct

FAKE = Path(__file__).parents[1] / "fakes" / "local_server.py"
URN = "urn:pulumi:dev::takeover::takeover:index:Endpoint::endpoint"
MODEL = {"name": "a", "digest": "sha256:1", "servedName": "a@1", "path": "/a", "base": "tiny", "rank": 8}
INPUTS = {"provider": "local", "models": [MODEL], "spec": {"name": "x", "base": "tiny"}}


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[PluginProcess]:
    started = PluginProcess(tmp_path, {"TAKEOVER_PYTHON": sys.executable})
    yield started
    started.close()


def test_its_version_is_the_project_s(plugin: PluginProcess) -> None:
    assert version("takeover") == VERSION
    assert plugin.stub.GetPluginInfo(empty_pb2.Empty()) == plugin_pb2.PluginInfo(version=VERSION)


def test_it_takes_secrets_and_previews(plugin: PluginProcess) -> None:
    shaken = plugin.stub.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address="127.0.0.1:9"))
    configured = plugin.stub.Configure(provider_pb2.ConfigureRequest())
    assert (shaken.accept_secrets, configured.acceptSecrets, configured.supportsPreview) == (True, True, True)


def test_of_its_configuration_it_keeps_nothing_but_the_version(plugin: PluginProcess) -> None:
    """The project's settings share its namespace; they do not belong into the provider's state."""
    news = to_struct({"hosting": "{}", "version": "0.1.0"})
    checked = plugin.stub.CheckConfig(provider_pb2.CheckRequest(news=news))
    assert from_struct(checked.inputs) == {"version": "0.1.0"}
    assert plugin.stub.DiffConfig(provider_pb2.DiffRequest()).changes == provider_pb2.DiffResponse.DIFF_NONE


def test_its_schema_describes_the_one_resource(plugin: PluginProcess) -> None:
    schema = json.loads(plugin.stub.GetSchema(provider_pb2.GetSchemaRequest()).schema)
    resource = schema["resources"]["takeover:index:Endpoint"]
    assert resource["requiredInputs"] == ["models", "provider", "spec"]
    assert resource["properties"]["apiKey"]["secret"] is True
    assert sorted(schema["types"]) == ["takeover:index:EndpointSpec", "takeover:index:TrainedModel"]


def test_a_check_a_preview_and_a_difference_over_the_wire(plugin: PluginProcess) -> None:
    news = to_struct({**INPUTS, "provider": "moon"})
    checked = plugin.stub.Check(provider_pb2.CheckRequest(urn=URN, news=news))
    assert [failure.property for failure in checked.failures] == ["provider"]
    made = plugin.stub.Create(provider_pb2.CreateRequest(urn=URN, properties=to_struct(INPUTS), preview=True))
    assert from_struct(made.properties)["url"] is UNKNOWN
    olds = to_struct({**INPUTS, "digests": [], "healthy": True})
    changed = plugin.stub.Diff(provider_pb2.DiffRequest(urn=URN, id="local/x", olds=olds, news=to_struct(INPUTS)))
    assert list(changed.diffs) == ["digests"]
    assert changed.detailedDiff["digests"].kind == provider_pb2.PropertyDiff.UPDATE
    assert not changed.detailedDiff["digests"].inputDiff


def test_another_base_is_told_as_a_replacement_that_makes_the_new_one_first(plugin: PluginProcess) -> None:
    olds = to_struct({**INPUTS, "digests": ["sha256:1"], "healthy": True})
    news = to_struct({**INPUTS, "spec": {"name": "y", "base": "big"}})
    changed = plugin.stub.Diff(provider_pb2.DiffRequest(urn=URN, id="local/x", olds=olds, news=news))
    assert sorted(changed.replaces) == ["spec.base", "spec.name"]
    assert changed.detailedDiff["spec.base"].kind == provider_pb2.PropertyDiff.UPDATE_REPLACE
    assert not changed.deleteBeforeReplace


def test_what_is_not_there_is_unimplemented(plugin: PluginProcess) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        plugin.stub.Invoke(provider_pb2.InvokeRequest(tok="takeover:index:nothing"))
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["the engine's good-bye", "a SIGTERM"])
def test_it_ends_at_once_when_it_is_told_to(plugin: PluginProcess, number: signal.Signals) -> None:
    plugin.process.send_signal(number)
    assert plugin.process.wait(timeout=10) == 0
    assert plugin.process.stderr is not None
    assert plugin.process.stderr.read() == ""


def test_cancel_stops_a_deploy_that_is_under_way(tmp_path: Path) -> None:
    """The server loads for a minute; Create comes back as soon as Cancel is called, and keeps what was made."""
    home = tmp_path / "home"
    environment = {
        "TAKEOVER_PYTHON": sys.executable,
        "TAKEOVER_HOME": str(home),
        "TAKEOVER_LOCAL_SERVER": f"{sys.executable} {FAKE}",
        "TAKEOVER_FAKE_LOADS_S": "60",
    }
    plugin = PluginProcess(tmp_path, environment)
    try:
        creating = plugin.stub.Create.future(provider_pb2.CreateRequest(urn=URN, properties=to_struct(INPUTS)))
        server = _pid_in(home / "endpoints" / "x" / "server.json")
        plugin.stub.Cancel(empty_pb2.Empty())
        error = creating.exception(timeout=20)
        assert error.code() == grpc.StatusCode.CANCELLED
        assert "grpc-status-details-bin" in dict(error.trailing_metadata())
        plugin.close()
        assert psutil.pid_exists(server)
    finally:
        plugin.close()
        psutil.Process(_pid_in(home / "endpoints" / "x" / "server.json")).kill()


def test_it_ends_when_its_engine_was_killed(tmp_path: Path) -> None:
    """The engine is a shell here, that starts the plugin and is killed; nobody says good-bye."""
    script = f'"{EXECUTABLE}" & echo $!; wait'
    environment = {**os.environ, "TAKEOVER_PYTHON": sys.executable}
    engine = subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    assert engine.stdout is not None
    plugin = psutil.Process(int(engine.stdout.readline()))
    assert engine.stdout.readline().strip().isdigit()
    engine.kill()
    engine.wait()
    _wait_until(lambda: not plugin.is_running() or plugin.status() == psutil.STATUS_ZOMBIE)


def test_without_a_python_it_says_what_to_do() -> None:
    environment = {**os.environ, "TAKEOVER_PYTHON": "/nowhere/python"}
    done = subprocess.run([str(EXECUTABLE)], env=environment, capture_output=True, text=True, timeout=10)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "no Python at /nowhere/python: run 'make setup', or set TAKEOVER_PYTHON\n"


def _pid_in(file: Path) -> int:
    _wait_until(file.exists)
    return int(json.loads(file.read_text())["pid"])


def _wait_until(condition: object) -> None:
    assert callable(condition)
    give_up_at = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up_at, "it did not come to pass"
        time.sleep(0.02)
