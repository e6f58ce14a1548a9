"""Deploy in processes of their own, side by side, each to die by SIGKILL at a step: `deploy_once.py ROW < JSON`.

ROW is a tier or tier/cluster. The JSON is a list of jobs {models, spec, dieAt}: the number of the step to die at, -1
for none. Everything is imported once and each job is a fork of that: what a job costs is the deploy itself. Prints a
JSON list of {code, steps}, where a code below 0 is the signal that ended the job.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from importlib import import_module
from typing import Any

from takeover.providers import provider_for
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.providers._progress import reporting
from takeover.tiers import tier

# What a provider imports only when it is used: each fork would do it again.
LOADED_LATE = {"takeover.providers.kubernetes": ("kubernetes.client", "kubernetes.config.kube_config")}


def deploy(name: str, cluster: str | None, job: dict[str, Any], pipe: int) -> None:
    """One deploy; its steps go through the pipe, one a line."""
    models = tuple(TrainedModel.model_validate(model) for model in job["models"])
    steps: list[str] = []

    def listen(step: str, _sentence: str) -> None:
        if step not in steps:
            steps.append(step)
            os.write(pipe, f"{step}\n".encode())
            if len(steps) - 1 == job["dieAt"]:
                os.kill(os.getpid(), signal.SIGKILL)

    with reporting(listen):
        asyncio.run(provider_for(name, cluster).deploy(models, EndpointSpec.model_validate(job["spec"])))


def start(name: str, cluster: str | None, job: dict[str, Any]) -> tuple[int, int]:
    """Process and pipe of a job."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        code = 1
        try:
            deploy(name, cluster, job, writing)
            code = 0
        finally:
            if code:
                traceback.print_exc()
            os._exit(code)
    os.close(writing)
    return pid, reading


def main() -> None:
    name, _, cluster = sys.argv[1].partition("/")
    provider = tier(name, cluster or None).provider.partition(":")[0]
    for module in (provider, "tenacity", *LOADED_LATE.get(provider, ())):
        import_module(module)
    started = [start(name, cluster or None, job) for job in json.load(sys.stdin)]
    ended = []
    for pid, reading in started:
        with os.fdopen(reading) as pipe:
            steps = pipe.read().split()
        ended.append({"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), "steps": steps})
    print(json.dumps(ended))


main()
