"""How long `import takeover` takes, in a fresh interpreter, without the interpreter's own start.

`python -m benchmarks.import_time [--rounds N]`
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
_TIMED = "import time; began = time.perf_counter(); import {module}; print((time.perf_counter() - began) * 1000)"


def import_ms(module: str) -> float:
    """Milliseconds that one import takes in a new process."""
    command = [sys.executable, "-c", _TIMED.format(module=module)]
    return float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.import_time", description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    wanted = parser.parse_args()
    for module in ("takeover", "takeover.outputs", "takeover.client"):
        times = [import_ms(module) for _ in range(wanted.rounds)]
        row = {"name": f"import {module} (ms)", "ours": round(median(times), 1), "bare": None, "ratio": None}
        print(json.dumps({**row, "unit": "ms", "command": "python -m benchmarks.import_time"}), flush=True)


if __name__ == "__main__":
    main()
