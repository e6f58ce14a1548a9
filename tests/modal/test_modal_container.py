"""What runs in the container, without Modal and vLLM: the guard, the start's figures, the store, the command."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import httpx
import pytest
from fakes.artifacts import make_adapter
from fakes.openai_stub import OpenAIStub
from pydantic import SecretStr

from serving.container.app import MEASURED, MOST_BYTES, create_app
from serving.container.cold_start import ColdStart
from serving.container.engine import build_vllm_launch
from serving.container.life import bring_up, launch_of, wake_up
from serving.container.store import base_folder, fill, read_key
from takeover.errors import Refused, VendorError
from takeover.modal_contract import KEY_FILE, AdapterRef, ContainerSettings, adapter_folder
from takeover.providers._modal_source import stage_source

KEY = "the-endpoint-s-key"
NEW, OLD = (AdapterRef(name="tone", digest="sha256:" + mark * 64) for mark in "ab")
SETTINGS = ContainerSettings(
    name="demo", base="tiny", adapters=(NEW,), kept=(OLD,), largest_rank=16, gpu="L40S", context_length=4096
)


@pytest.fixture
def engine() -> Iterator[OpenAIStub]:
    with OpenAIStub(models=[NEW.served_name, OLD.served_name], key="none") as stub:
        yield stub


@pytest.fixture
def client(engine: OpenAIStub) -> httpx.AsyncClient:
    """Asks the guard over the stub, with the right key."""
    cold = ColdStart(start_ms=1234, ready_at_ms=5000)
    app = create_app(engine.url.removesuffix("/v1"), SETTINGS, key=SecretStr(KEY), cold=cold)
    headers = {"Authorization": f"Bearer {KEY}"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://endpoint", headers=headers)


@dataclass(frozen=True)
class Ask:
    id: str
    method: str
    path: str
    status: int
    key: str = KEY


ASKS = [
    Ask("without the key, a chat is refused", "POST", "/v1/chat/completions", 401, key="wrong"),
    Ask("without the key, the figures are refused", "GET", "/metrics", 401, key=""),
    Ask("without the key, the start's figures are refused", "GET", "/takeover/cold-start", 401, key=""),
    Ask("vLLM's route that loads adapters is not there", "POST", "/v1/load_lora_adapter", 404),
    Ask("vLLM's sleep is not there", "POST", "/sleep", 404),
    Ask("the engine's documentation is not there", "GET", "/docs", 404),
    Ask("a chat is asked by POST", "GET", "/v1/chat/completions", 405),
]


@pytest.mark.parametrize("ask", ASKS, ids=lambda ask: ask.id)
async def test_the_guard_lets_only_its_short_list_pass(client: httpx.AsyncClient, engine: OpenAIStub, ask: Ask) -> None:
    answer = await client.request(ask.method, ask.path, headers={"Authorization": f"Bearer {ask.key}"}, json={})
    assert (answer.status_code, engine.requests, engine.broken) == (ask.status, [], [])


async def test_the_start_s_figures_are_told_to_whoever_has_the_key(client: httpx.AsyncClient) -> None:
    told = (await client.get("/takeover/cold-start", params={"asked": "0"})).json()
    assert told == {"measuredMs": 5000, "startMs": 1234, "wakeMs": None}


async def test_a_request_that_is_too_large_ends_at_the_guard(client: httpx.AsyncClient, engine: OpenAIStub) -> None:
    answer = await client.post("/v1/chat/completions", content=b" " * (MOST_BYTES + 1))
    assert (answer.status_code, engine.requests) == (413, [])


async def test_an_engine_that_is_gone_is_not_ready_yet(client: httpx.AsyncClient, engine: OpenAIStub) -> None:
    engine.stop()
    answers = [await client.get("/v1/models"), await client.get("/health")]
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(503, "5")] * 2


@dataclass(frozen=True)
class Start:
    """What happened while a container started, by the clock, and what it says of that."""

    id: str
    want: dict[str, int | None]
    do: Callable[[ColdStart], None]


def waited(asked: str | None) -> Callable[[ColdStart], None]:
    def do(cold: ColdStart) -> None:
        cold.started(10000.0)
        cold.first_asked(asked)

    return do


def woke(cold: ColdStart) -> None:
    cold.started(10000.0)
    cold.woke(10004.0)
    cold.first_asked("10002000")


STARTS = [
    Start("not ready yet", {"measuredMs": None, "startMs": None, "wakeMs": None}, lambda cold: None),
    Start("its own figure", {"measuredMs": 5000, "startMs": 5000, "wakeMs": None}, waited(None)),
    Start("who asked before waited longer", {"measuredMs": 8000, "startMs": 5000, "wakeMs": None}, waited("9997000")),
    Start(
        "who asked later waited for nothing", {"measuredMs": 5000, "startMs": 5000, "wakeMs": None}, waited("10006000")
    ),
    Start("a clock of yesterday is wrong", {"measuredMs": 5000, "startMs": 5000, "wakeMs": None}, waited("1000")),
    Start("no number at all", {"measuredMs": 5000, "startMs": 5000, "wakeMs": None}, waited("-1; x")),
    Start("a restore counts from its caller's wait", {"measuredMs": 3000, "startMs": 5000, "wakeMs": 1000}, woke),
]


@pytest.mark.parametrize("case", STARTS, ids=lambda case: case.id)
def test_a_container_tells_what_its_start_took(case: Start) -> None:
    cold = ColdStart(now=lambda: 10005.0)
    case.do(cold)
    assert cold.to_json() == case.want


def test_the_first_who_waited_is_the_one_that_counts() -> None:
    cold = ColdStart(now=lambda: 10005.0)
    cold.started(10000.0)
    cold.first_asked("9997000")
    cold.first_asked("9990000")
    assert cold.measured_ms == 8000


async def test_every_answer_carries_what_the_start_took(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/models")).headers[MEASURED] == "1234"


def test_vllm_is_started_with_every_adapter_loaded_and_no_way_to_change_them() -> None:
    paths = {adapter.served_name: Path("/store") / adapter_folder(adapter.digest) for adapter in SETTINGS.served}
    launch = build_vllm_launch(SETTINGS, Path("/bases/tiny"), paths)
    assert " ".join(launch.command) == (
        "vllm serve /bases/tiny --served-model-name tiny --host 127.0.0.1 --port 8000 --max-num-seqs 32 "
        "--tensor-parallel-size 1 --max-model-len 4096 --enable-sleep-mode --enable-lora --max-lora-rank 16 "
        "--max-loras 2 --max-cpu-loras 2 --lora-modules "
        f"tone@{'a' * 12}=/store/adapters/{'a' * 64} tone@{'b' * 12}=/store/adapters/{'b' * 64}"
    )
    assert launch.environment == {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_SERVER_DEV_MODE": "1",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }


def test_without_a_snapshot_the_engine_has_no_sleep_routes() -> None:
    settings = SETTINGS.model_copy(update={"snapshot": False, "gpu": "H100:2"})
    launch = build_vllm_launch(settings, Path("/bases/tiny"), {NEW.served_name: Path("/x")})
    assert "--enable-sleep-mode" not in launch.command
    assert launch.command[launch.command.index("--tensor-parallel-size") + 1] == "2"
    assert "VLLM_SERVER_DEV_MODE" not in launch.environment


class SleepyEngine:
    root = "http://127.0.0.1:9"
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, *, wakes: bool = True) -> None:
        self.wakes = wakes
        self.done: list[str] = []

    def wait_ready(self, timeout_s: float) -> None:
        self.done.append(f"wait {timeout_s:g}")

    def warm_up(self, models: list[str]) -> None:
        self.done.append(f"ask {len(models)}")

    def sleep(self) -> None:
        self.done.append("sleep")

    def wake(self) -> None:
        self.done.append("wake")
        if not self.wakes:
            raise VendorError("the engine cannot wake", why="HTTP 500: CUDA error")

    def stop(self) -> None:
        self.done.append("stop")


def test_around_a_snapshot_the_engine_is_warmed_put_to_sleep_and_woken() -> None:
    engine, cold = SleepyEngine(), ColdStart()
    bring_up(engine, SETTINGS, cold)
    woken = wake_up(engine, SETTINGS, cold, began_s=cold.now(), start_again=SleepyEngine)
    assert woken is engine
    assert engine.done == ["wait 1200", "ask 2", "sleep", "wake", "wait 60"]
    assert (cold.wake_ms, cold.own_ms) == (0, 0)


def test_an_engine_that_does_not_wake_is_started_anew(capsys: pytest.CaptureFixture[str]) -> None:
    engine, cold = SleepyEngine(wakes=False), ColdStart()
    woken = wake_up(engine, SETTINGS, cold, began_s=cold.now(), start_again=SleepyEngine)
    assert (engine.done, woken.done) == (["wake", "stop"], ["wait 1200", "ask 2"])
    assert cold.wake_ms is not None
    assert "the engine cannot wake" in capsys.readouterr().err


def filled(tmp_path: Path) -> tuple[ContainerSettings, Path, Path]:
    """Volumes as a deploy leaves them."""
    store, bases = tmp_path / "store", tmp_path / "bases"
    adapter = make_adapter(tmp_path / "tone", seed=1, name="tone")
    shutil.copytree(adapter.path, store / adapter_folder(adapter.digest))
    (store / KEY_FILE).write_text(KEY)
    settings = SETTINGS.model_copy(update={"adapters": (AdapterRef(name="tone", digest=adapter.digest),), "kept": ()})
    return settings, store, bases


def test_a_store_is_verified_when_it_is_filled_and_found_by_every_start(tmp_path: Path) -> None:
    settings, store, bases = filled(tmp_path)
    said: list[str] = []
    fill(settings.base, settings.served, store=store, bases=bases, say=said.append)
    assert said[0] == f"{settings.served[0].served_name} is verified"
    launch = launch_of(settings, build_vllm_launch, store=store, bases=bases)
    assert Path(launch.command[2]).joinpath("config.json").is_file()
    assert read_key(store, volume="demo") == KEY


def test_an_adapter_that_arrived_damaged_stops_the_build_and_is_named(tmp_path: Path) -> None:
    settings, store, bases = filled(tmp_path)
    weights = store / adapter_folder(settings.served[0].digest) / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(Refused, match="did not arrive as it left"):
        fill(settings.base, settings.served, store=store, bases=bases, say=lambda _: None)


@dataclass(frozen=True)
class Loss:
    id: str
    lose: str
    want: str


LOSSES = [
    Loss("the base", "bases", "the volume takeover-bases does not hold the base tiny"),
    Loss("the adapter", "store/adapters", "the volume demo does not hold tone@"),
]


@pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.id)
def test_a_volume_that_vanished_is_named_with_the_way_out(tmp_path: Path, case: Loss) -> None:
    settings, store, bases = filled(tmp_path)
    fill(settings.base, settings.served, store=store, bases=bases, say=lambda _: None)
    shutil.rmtree(tmp_path / case.lose)
    with pytest.raises(Refused) as caught:
        launch_of(settings, build_vllm_launch, store=store, bases=bases)
    assert case.want in str(caught.value)
    assert "Deploy again" in str(caught.value)


def test_a_lost_key_is_named_too(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="the volume demo does not hold the endpoint's key"):
        read_key(tmp_path, volume="demo")
    with pytest.raises(Refused, match="does not hold the base"):
        base_folder("tiny", tmp_path, volume="takeover-bases")


def test_what_is_sent_to_the_containers_is_enough_for_them() -> None:
    """A process that finds nothing of the project but what is sent, and the packages."""
    staged = stage_source()
    code = (
        "import json, sys; import serving.container.life, serving.container.store, serving.container.app, "
        "serving.container.engine; from takeover.bases.materialise import materialise; import takeover.hub_client; "
        "print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.split('.')[0] in ('takeover', 'serving')]))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {[str(staged), *_packages()]!r}; {code}"],
        cwd=staged,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert [path for path in json.loads(done.stdout) if not path.startswith(str(staged))] == []
    assert "tiers.py" not in {path.name for path in staged.rglob("*")}


def _packages() -> list[str]:
    """Where the interpreter's and the environment's packages lie; the project itself is not among them."""
    own = [path for path in sys.path if path.endswith(("site-packages", "lib-dynload"))]
    return [*own, str(Path(json.__file__).parents[1])]
