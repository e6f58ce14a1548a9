"""How long the fit takes: one GPU, and every machine that is known.

`python -m benchmarks.fit [--rounds N]`
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from statistics import median

from takeover.bases._known_shapes import known_config
from takeover.planning.fit import GPUS, Load, fit, shape_of, what_would_fit


def ms(work: Callable[[], object], rounds: int) -> float:
    """Milliseconds that one call takes, the median of `rounds`."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return median(times)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fit", description=__doc__)
    parser.add_argument("--rounds", type=int, default=201)
    wanted = parser.parse_args()
    config = known_config("meta-llama/Llama-3.1-8B-Instruct") or {}
    load = Load(context_length=32_768, concurrency=16, adapters=4, rank=64)
    rows = {
        "fit on one GPU (ms)": ms(lambda: fit(shape_of(config), load, GPUS["L40S"]), wanted.rounds),
        "what would fit, of all (ms)": ms(lambda: what_would_fit(shape_of(config), load), wanted.rounds),
    }
    for name, ours in rows.items():
        row = {"name": name, "ours": round(ours, 3), "bare": None, "ratio": None, "unit": "ms"}
        print(json.dumps({**row, "command": "python -m benchmarks.fit"}), flush=True)


if __name__ == "__main__":
    main()
