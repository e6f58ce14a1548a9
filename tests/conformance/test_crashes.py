"""A deploy that is killed at any of its steps, and another one after it: exactly one endpoint, and the right one."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

from ground import Ground

from takeover.providers._base import Endpoint, TrainedModel

CHILD = Path(__file__).with_name("deploy_once.py")
PATIENCE_S = 60


def start_child(ground: Ground, model: TrainedModel, name: str, die_at: int) -> subprocess.Popen[str]:
    given = {"models": [model.model_dump(mode="json")], "spec": ground.spec(name).model_dump(mode="json")}
    command = [sys.executable, str(CHILD), ground.tier.row, str(die_at)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdin is not None
    child.stdin.write(json.dumps(given))
    child.stdin.close()
    child.stdin = None
    return child


def steps_of(ground: Ground, model: TrainedModel, name: str) -> list[str]:
    """The steps of a deploy that nobody kills."""
    out, err = (child := start_child(ground, model, name, -1)).communicate(timeout=PATIENCE_S)
    assert child.returncode == 0, err
    return out.split()


def kill_at_each(ground: Ground, model: TrainedModel, names: list[str]) -> None:
    """One deploy per name, side by side, the first killed at the first step, and so on."""
    children = [start_child(ground, model, name, step) for step, name in enumerate(names)]
    codes = []
    for child in children:
        child.communicate(timeout=PATIENCE_S)
        codes.append(child.returncode)
    assert codes == [-signal.SIGKILL] * len(names)


async def deploy_all(ground: Ground, model: TrainedModel, names: list[str]) -> list[Endpoint]:
    return list(await asyncio.gather(*(ground.provider.deploy((model,), ground.spec(name)) for name in names)))


async def served(ground: Ground, endpoint: Endpoint) -> tuple[int, tuple[str, ...], bool]:
    told = await ground.provider.describe(endpoint)
    assert told is not None
    return ground.world.existing(endpoint.name), told.digests, told.healthy


async def test_a_first_deploy_killed_at_any_step_is_made_good_by_the_next(ground: Ground) -> None:
    model = ground.model("a")
    steps = steps_of(ground, model, "whole")
    names = [f"cut-{number}-{step}" for number, step in enumerate(steps)]
    kill_at_each(ground, model, names)
    endpoints = await deploy_all(ground, model, names)
    assert [await served(ground, endpoint) for endpoint in endpoints] == [(1, (model.digest,), True)] * len(steps)
    for endpoint in endpoints:
        await ground.provider.destroy(endpoint)
    assert [ground.world.existing(name) for name in names] == [0] * len(steps)


async def test_a_change_of_version_killed_at_any_step_is_made_good_by_the_next(ground: Ground) -> None:
    old, new = ground.model("a"), ground.model("b")
    await deploy_all(ground, old, ["whole"])
    steps = steps_of(ground, new, "whole")
    names = [f"cut-{number}-{step}" for number, step in enumerate(steps)]
    await deploy_all(ground, old, names)
    kill_at_each(ground, new, names)
    endpoints = await deploy_all(ground, new, names)
    assert [await served(ground, endpoint) for endpoint in endpoints] == [(1, (new.digest,), True)] * len(steps)


async def test_what_a_killed_deploy_left_is_removed_by_destroy_alone(ground: Ground) -> None:
    model = ground.model("a")
    steps = steps_of(ground, model, "whole")
    names = [f"cut-{number}-{step}" for number, step in enumerate(steps)]
    kill_at_each(ground, model, names)
    for name in names:
        left = await ground.provider.find(name)
        nothing = Endpoint(id=name, name=name, provider=ground.tier.name, url="", models=())
        await ground.provider.destroy(left or nothing)
    assert [ground.world.existing(name) for name in names] == [0] * len(steps)
    assert [await ground.provider.find(name) for name in names] == [None] * len(steps)


async def test_two_processes_that_deploy_at_once_make_one_endpoint(ground: Ground) -> None:
    model = ground.model("a")
    children = [start_child(ground, model, "both", -1) for _ in range(2)]
    for child in children:
        child.communicate(timeout=PATIENCE_S)
    assert [child.returncode for child in children] == [0, 0]
    endpoint = await ground.provider.find("both")
    assert endpoint is not None
    assert await served(ground, endpoint) == (1, (model.digest,), True)
