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


def run_jobs(ground: Ground, model: TrainedModel, names: list[str], die_at: list[int]) -> list[tuple[int, list[str]]]:
    """Exit code and steps of one deploy per name, side by side, each in a process of its own."""
    jobs = [
        {"models": [model.model_dump(mode="json")], "spec": ground.spec(name).model_dump(mode="json"), "dieAt": step}
        for name, step in zip(names, die_at, strict=True)
    ]
    command = [sys.executable, str(CHILD), ground.tier.row]
    done = subprocess.run(command, input=json.dumps(jobs), capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    return [(each["code"], each["steps"]) for each in json.loads(done.stdout)]


def steps_of(ground: Ground, model: TrainedModel, name: str) -> list[str]:
    """The steps of a deploy that nobody kills."""
    ((code, steps),) = run_jobs(ground, model, [name], [-1])
    assert code == 0
    return steps


def kill_at_each(ground: Ground, model: TrainedModel, names: list[str]) -> None:
    """One deploy per name, side by side, the first killed at the first step, and so on."""
    ended = run_jobs(ground, model, names, list(range(len(names))))
    assert [code for code, _ in ended] == [-signal.SIGKILL] * len(names)


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
    ended = run_jobs(ground, model, ["both", "both"], [-1, -1])
    assert [code for code, _ in ended] == [0, 0]
    endpoint = await ground.provider.find("both")
    assert endpoint is not None
    assert await served(ground, endpoint) == (1, (model.digest,), True)
