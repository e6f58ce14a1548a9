"""The tier on real vLLM: two replicas, by their names and behind a balancer; and what the fake says, asked again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes import vllm_server
from fakes.artifacts import make_adapter
from fakes.turns import taking_turns
from fakes.vllm_server import vllm_cluster
from real_vllm import KEY, MAX_RANK, PYTHON, WHY_NOT, RealVllm, free_port
from vllm_ground import NAME
from vllm_load import ask, load

from takeover.bases import parse_base
from takeover.bases.materialise import materialise
from takeover.errors import Refused
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.providers.dedicated_vllm import VLLMProvider
from takeover.tiers import TIERS

pytestmark = [
    pytest.mark.real_vllm,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not PYTHON, reason=WHY_NOT),
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that both sides see."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[list[RealVllm]]:
    base, folder = materialise(parse_base("tiny")).path, tmp_path_factory.mktemp("vllm")
    made = [RealVllm(folder / str(number), base, shared, free_port()) for number in range(2)]
    try:
        for server in made:
            server.start()
        for server in made:
            server.wait()
        yield made
    finally:
        for server in made:
            server.stop()


@dataclass
class Real:
    """The provider at the real servers, behind their balancer's address."""

    provider: VLLMProvider
    url: str
    servers: list[RealVllm]
    shared: Path
    folder: Path

    def model(self, seed: int, *, rank: int = 4) -> TrainedModel:
        path = self.folder / f"tone-{seed}-{rank}"
        adapter = make_adapter(path, name="tone", seed=seed, rank=rank)
        return adapter.trained_model()

    def spec(self, **options: Any) -> EndpointSpec:
        given = {
            "replicaUrls": [server.url for server in self.servers],
            "sharedPath": str(self.shared),
            "drainSeconds": 0,
            **options,
        }
        return EndpointSpec(name=NAME, base="tiny", max_replicas=2, options=given)

    def listed(self) -> list[list[str]]:
        return [server.adapters_listed() for server in self.servers]


@pytest.fixture
def real(servers: list[RealVllm], shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Real]:
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    with taking_turns([server.url for server in servers]) as url:
        monkeypatch.setenv("VLLM_CLUSTER_URL", url)
        yield Real(VLLMProvider(home=tmp_path / "home"), url, servers, shared, tmp_path)


async def test_a_version_changes_under_load_and_no_request_is_lost(real: Real) -> None:
    old, new = real.model(1), real.model(2)
    begun = time.monotonic()
    endpoint = await real.provider.deploy((old,), real.spec())
    first_s = time.monotonic() - begun
    assert await real.provider.deploy((old,), real.spec()) == endpoint
    assert real.listed() == [[old.served_name]] * 2
    with load(real.url, old.served_name, KEY) as before, load(real.url, "tiny", KEY) as base:
        await real.provider.deploy((new,), real.spec(drainSeconds=3600))
        await asyncio.to_thread(before.wait_for, 40)
    assert set(before.statuses) | set(base.statuses) == {200}
    assert real.listed() == [[old.served_name, new.served_name]] * 2
    told = await real.provider.describe(endpoint)
    assert told is not None
    assert (told.healthy, told.digests, told.base, told.replicas) == (True, (new.digest,), "tiny", 2)
    figures = await real.provider.get_metrics(endpoint)
    assert figures.requests is not None
    assert figures.requests >= 40
    assert (figures.errors, figures.queue, figures.replicas) == (0, 0, 2)
    assert figures.latency_p95_ms is not None
    assert first_s * 1000 < TIERS["dedicated-vllm"].cold_start.high_ms
    await real.provider.deploy((new,), real.spec())
    assert real.listed() == [[new.served_name]] * 2
    assert await real.provider.inference(endpoint, "hello", model=new.served_name, max_tokens=2) is not None
    await real.provider.destroy(endpoint)
    assert real.listed() == [[], []]


async def test_the_server_itself_tells_that_a_replaced_version_is_still_asked_for(real: Real) -> None:
    old, new = real.model(3), real.model(4)
    later = VLLMProvider(home=real.folder / "home", now=lambda: time.time() + 60)
    await real.provider.deploy((old,), real.spec())
    endpoint = await real.provider.deploy((new,), real.spec(drainSeconds=20))
    assert ask(real.servers[1].url, old.served_name, KEY) == 200
    await later.deploy((new,), real.spec(drainSeconds=20))
    assert old.served_name in real.listed()[0]
    await later.deploy((new,), real.spec(drainSeconds=0))
    assert real.listed() == [[new.served_name]] * 2
    await real.provider.destroy(endpoint)


async def test_behind_the_balancer_alone_both_get_it_and_both_lose_it(real: Real) -> None:
    model = real.model(5)
    with pytest.raises(Refused, match="several servers behind one address"):
        await real.provider.deploy((model,), real.spec(replicaUrls=[]))
    assert real.listed() == [[], []]
    endpoint = await real.provider.deploy((model,), real.spec(replicaUrls=[], resolve="balancer"))
    assert real.listed() == [[model.served_name]] * 2
    await real.provider.destroy(endpoint)
    assert real.listed() == [[], []]


async def test_a_rank_above_the_server_s_and_a_folder_that_it_does_not_see_are_recognised(real: Real) -> None:
    with pytest.raises(Refused, match=f"takes no adapter of rank 32(.|\n)*max_lora_rank {MAX_RANK}(.|\n)*rank 32"):
        await real.provider.deploy((real.model(6, rank=32),), real.spec())
    with pytest.raises(Refused, match="does not see the files of"):
        await real.provider.deploy((real.model(7),), real.spec(sharedPathThere="/nowhere"))
    assert real.listed() == [[], []]


def test_the_command_line_deploys_twice_asks_and_destroys_on_a_vllm_that_is_not_ours(
    real: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_CLUSTER_URL", real.servers[0].url)
    model, outputs = real.model(9), real.folder / "endpoint.json"

    def takeover(*arguments: str) -> str:
        command = [str(Path(sys.executable).parent / "takeover"), *arguments, "--outputs", str(outputs)]
        done = subprocess.run(command, cwd=real.folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    for _ in range(2):
        takeover("deploy", "--provider", "dedicated-vllm", "--cluster", "existing", "--adapter", model.path)
    assert real.listed() == [[model.served_name], []]
    assert json.loads(outputs.read_text())["model"] == model.served_name
    assert json.loads(takeover("ask", "Hello?", "--max-tokens", "4", "--json"))["model"] == model.served_name
    takeover("destroy")
    assert real.listed() == [[], []]


async def test_a_restarted_replica_has_lost_the_adapter_and_vllm_s_own_resolver_finds_it_in_our_folder(
    real: Real,
) -> None:
    model = real.model(8)
    endpoint = await real.provider.deploy((model,), real.spec())
    restarted = real.servers[1]
    restarted.stop()
    told = await real.provider.describe(endpoint)
    assert told is not None
    assert (told.healthy, restarted.url in told.reason) == (False, True)
    restarted.start()
    restarted.wait()
    told = await real.provider.describe(endpoint)
    assert told is not None
    assert (told.healthy, told.reason) == (False, f"{restarted.url} has lost {model.served_name}")
    # A request before anybody deploys again: the resolver looks into the shared folder.
    body = {"model": model.served_name, "prompt": "hello", "max_tokens": 1}
    assert restarted.ask("POST", "/v1/completions", body).status_code == 200
    told = await real.provider.describe(endpoint)
    assert told is not None
    assert (told.healthy, told.digests) == (True, (model.digest,))
    assert restarted.ask("POST", "/v1/unload_lora_adapter", {"lora_name": model.served_name}).status_code == 200
    await real.provider.deploy((model,), real.spec())
    assert real.listed() == [[model.served_name]] * 2
    await real.provider.destroy(endpoint)
    assert (real.listed(), [path.name for path in real.shared.iterdir()]) == ([[], []], [".takeover"])


Asked = tuple[str, str, Any]
# What the fake answers by itself; the adapter a@1 lies at PATH, r@1 at RANK with a rank that is too large.
CONVERSATION: list[Asked] = [
    ("GET", "/v1/models", None),
    ("POST", "/v1/load_lora_adapter", {"lora_name": "a@1", "lora_path": "PATH"}),
    ("POST", "/v1/load_lora_adapter", {"lora_name": "a@1", "lora_path": "PATH"}),
    ("POST", "/v1/load_lora_adapter", {"lora_name": "tiny", "lora_path": "PATH"}),
    ("POST", "/v1/load_lora_adapter", {"lora_name": "x@1", "lora_path": "/nowhere"}),
    ("POST", "/v1/load_lora_adapter", {"lora_name": "r@1", "lora_path": "RANK"}),
    ("GET", "/v1/models", None),
    ("POST", "/v1/completions", {"model": "a@1", "prompt": "hello", "max_tokens": 1}),
    ("POST", "/v1/completions", {"model": "x@1", "prompt": "hello", "max_tokens": 1}),
    ("POST", "/v1/chat/completions", {"model": "a@1", "messages": [{"role": "user", "content": "hi"}]}),
    ("POST", "/v1/unload_lora_adapter", {"lora_name": "x@1"}),
    ("POST", "/v1/unload_lora_adapter", {"lora_name": "a@1"}),
    ("GET", "/v1/models", None),
]


def essence(answer: httpx.Response) -> tuple[int, Any]:
    """What we read of an answer: the status, an error's type and first words, the shape of what is served."""
    try:
        value = answer.json()
    except ValueError:
        return answer.status_code, answer.text
    if "error" in value:
        error = value["error"]
        return answer.status_code, (error["type"], error["code"], error["message"].split("'")[0][:40])
    if value.get("object") == "list":
        return answer.status_code, [
            (entry["id"], bool(entry["parent"]), set(entry) >= FIELDS) for entry in value["data"]
        ]
    return answer.status_code, (value["object"], value["model"], len(value["choices"]), sorted(value["choices"][0])[:1])


FIELDS = {"id", "object", "created", "owned_by", "root", "parent", "max_model_len", "permission"}


def held(ask: Callable[[str, str, Any], httpx.Response], paths: Mapping[str, str]) -> list[tuple[int, Any]]:
    """The conversation, as one server holds it."""
    said = []
    for method, path, body in CONVERSATION:
        text = json.dumps(body)
        for name, value in paths.items():
            text = text.replace(name, value)
        said.append(essence(ask(method, path, json.loads(text))))
    return said


def test_the_fake_answers_as_the_real_server_does(servers: list[RealVllm], tmp_path: Path) -> None:
    paths = {
        "PATH": str(make_adapter(tmp_path / "a", seed=1).path),
        "RANK": str(make_adapter(tmp_path / "r", seed=1, rank=32).path),
    }
    with vllm_cluster() as cluster:
        cluster.largest_rank = MAX_RANK
        headers = {"Authorization": f"Bearer {vllm_server.KEY}"}

        def ask(method: str, path: str, body: Any) -> httpx.Response:
            url = f"{cluster.url}{path}"
            return httpx.request(method, url, json=body, headers=headers, trust_env=False, timeout=30)

        assert held(ask, paths) == held(servers[0].ask, paths)


def test_the_fake_s_page_of_metrics_has_the_names_that_the_real_one_has(servers: list[RealVllm]) -> None:
    body = {"model": "tiny", "prompt": "hello", "max_tokens": 1}
    servers[0].ask("POST", "/v1/completions", body)
    real = servers[0].ask("GET", "/metrics").text
    with vllm_cluster() as cluster:
        page = httpx.get(f"{cluster.url}/metrics", trust_env=False).text
    names = {line.partition("{")[0] for line in page.splitlines() if line.startswith("vllm:")}
    assert {name for name in names if f"{name}{{" not in real} == set()
    assert servers[0].ask("POST", "/v1/load_lora_adapterx", {}).status_code == 404
    wrong = httpx.get(f"{servers[0].url}/v1/models", headers={"Authorization": "Bearer x"}, trust_env=False)
    assert (wrong.status_code, wrong.text) == (401, '{"error":"Unauthorized"}')
