"""Deploy in a process of its own, and die by SIGKILL when a step is reached: `deploy_once.py ROW STEP < JSON`.

ROW is a tier or tier/cluster; STEP is the number of the step to die at, -1 for none. Prints the steps that it went
through, one a line.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

from takeover.providers import provider_for
from takeover.providers._base import EndpointSpec, TrainedModel
from takeover.providers._progress import reporting


def main() -> None:
    tier, _, cluster = sys.argv[1].partition("/")
    die_at = int(sys.argv[2])
    given = json.load(sys.stdin)
    models = tuple(TrainedModel.model_validate(model) for model in given["models"])
    steps: list[str] = []

    def listen(step: str, _sentence: str) -> None:
        if step not in steps:
            steps.append(step)
            print(step, flush=True)
            if len(steps) - 1 == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    with reporting(listen):
        asyncio.run(provider_for(tier, cluster or None).deploy(models, EndpointSpec.model_validate(given["spec"])))


main()
