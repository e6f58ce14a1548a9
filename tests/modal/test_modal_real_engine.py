"""The container's own code from the filled volumes to an answer, over a real engine.

That is serving/local in vLLM's place, and, where there is one (tests/dedicated_vllm/real_vllm.py), vLLM on the CPU with
the very flags that a container gives it, but those of a GPU's snapshot.
"""

from __future__ import annotations

import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest
import uvicorn
from dedicated_vllm.real_vllm import PATIENCE_S, PYTHON, WHY_NOT
from fakes.artifacts import make_adapter
from openai import OpenAI

from serving.container.cold_start import ColdStart
from serving.container.engine import Engine, Launch, build_vllm_launch
from serving.container.life import Build, bring_up, guarded, launch_of
from serving.container.store import fill
from takeover.modal_contract import KEY_FILE, AdapterRef, ContainerSettings, adapter_folder

pytestmark = pytest.mark.slow

REAL_VLLM = [pytest.mark.real_vllm, pytest.mark.timeout(600), pytest.mark.skipif(not PYTHON, reason=WHY_NOT)]
KEY = "the-endpoint-s-key"
ENGINE_KEY = "the-engine-s-key"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass(frozen=True)
class Running:
    url: str
    settings: ContainerSettings
    cold: ColdStart


def serving_local(state: Path) -> Build:
    """Our own server, which wants a key of its own."""
    state.mkdir()
    (state / "key").write_text(ENGINE_KEY)
    (state / "key").chmod(0o600)
    port = free_port()

    def build(settings: ContainerSettings, _base: Path, adapters: Mapping[str, Path]) -> Launch:
        named = [word for name, path in adapters.items() for word in ("--adapter", f"{name}={path}")]
        server = (sys.executable, "-m", "serving.local", "--state-dir", str(state), "--port", str(port))
        command = (*server, "--base", settings.base, *named)
        return Launch(command, f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {ENGINE_KEY}"})

    return build


def vllm_on_the_cpu(settings: ContainerSettings, base: Path, adapters: Mapping[str, Path]) -> Launch:
    """`vllm serve` by the module behind it: the wheel for CPUs has the command, but not under the name it looks for."""
    launch = build_vllm_launch(settings, base, adapters)
    assert launch.command[:2] == ("vllm", "serve")
    command = (PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", *launch.command[2:])
    return replace(launch, command=command, environment={**launch.environment, "VLLM_CPU_KVCACHE_SPACE": "1"})


@pytest.fixture(scope="module", params=["serving/local", pytest.param("vLLM", marks=REAL_VLLM)])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("container")
    store, bases = folder / "store", folder / "bases"
    refs = []
    for seed in (1, 2):
        adapter = make_adapter(folder / f"tone-{seed}", seed=seed, name="tone")
        shutil.copytree(adapter.path, store / adapter_folder(adapter.digest))
        refs.append(AdapterRef(name="tone", digest=adapter.digest))
    (store / KEY_FILE).write_text(KEY)
    settings = ContainerSettings(
        name="demo",
        base="tiny",
        adapters=(refs[0],),
        kept=(refs[1],),
        largest_rank=8,
        gpu="L40S",
        snapshot=False,
        startup_timeout_s=PATIENCE_S,
    )
    build = vllm_on_the_cpu if request.param == "vLLM" else serving_local(folder / "state")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TAKEOVER_CACHE", str(bases))  # as in the image
        fill(settings.base, settings.served, store=store, bases=bases, say=lambda _: None)
        launch = launch_of(settings, build, store=store, bases=bases)
        engine = Engine(launch)
    cold = ColdStart()
    try:
        bring_up(engine, settings, cold)
        config = uvicorn.Config(guarded(engine, settings, cold, store=store), port=free_port(), log_level="error")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield Running(f"http://127.0.0.1:{config.port}/v1", settings, cold)
        server.should_exit = True
        thread.join(10)
    finally:
        engine.stop()


def client(running: Running) -> OpenAI:
    return OpenAI(base_url=running.url, api_key=KEY, max_retries=0)


def test_the_openai_sdk_gets_answers_of_both_versions_and_they_differ_by_their_weights(running: Running) -> None:
    new, old = (adapter.served_name for adapter in running.settings.served)
    listed = {
        model.id: model.model_extra["takeover"]["state"] for model in client(running).models.list() if "@" in model.id
    }
    assert listed == {new: "ready", old: "retiring"}
    texts = [
        client(running).completions.create(model=name, prompt="Where is my parcel?", max_tokens=24, temperature=0)
        for name in (new, old)
    ]
    assert [answer.model for answer in texts] == [new, old]
    assert texts[0].choices[0].text != texts[1].choices[0].text


def test_a_streamed_answer_comes_in_pieces_and_is_the_whole_one(running: Running) -> None:
    name = running.settings.adapters[0].served_name
    ask = {"model": name, "messages": [{"role": "user", "content": "Hello?"}], "max_tokens": 12, "temperature": 0}
    whole = client(running).chat.completions.create(**ask)
    pieces = list(client(running).chat.completions.create(**ask, stream=True))
    text = "".join(choice.delta.content or "" for piece in pieces for choice in piece.choices)
    assert (text, len(pieces) > 2) == (whole.choices[0].message.content, True)


def test_what_the_start_took_was_measured(running: Running) -> None:
    since_this_process_began_ms = (time.time() - psutil.Process().create_time()) * 1000
    assert running.cold.start_ms is not None
    assert 100 < running.cold.start_ms <= since_this_process_began_ms
