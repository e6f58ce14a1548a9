"""The program's own time for the largest stack, EKS and all on it, without an engine.

In a process of its own each time, imports of the clouds' SDKs with it, because that is what a preview pays. Seconds of
processor time: what a preview waits for AWS is not the program's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
_ONCE = """
import sys, tempfile, time
from pathlib import Path
sys.path[:0] = ["tests", "tests/stacks"]
from example_stacks import run_stack
run = run_stack("eks", Path(tempfile.mkdtemp()))
print(time.process_time(), len(run.made))
"""


def once() -> tuple[float, int]:
    """Seconds, and how many resources the program registered."""
    done = subprocess.run([sys.executable, "-c", _ONCE], cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, made = done.stdout.split()
    return float(seconds), int(made)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preview_eks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    wanted = parser.parse_args()
    runs = [once() for _ in range(wanted.rounds)]
    row = {"name": "preview of the whole EKS stack, own time (s)", "bare": None, "ratio": None, "unit": "s"}
    ours = round(median(seconds for seconds, _ in runs), 2)
    print(json.dumps({**row, "ours": ours, "command": "python -m benchmarks.preview_eks", "resources": runs[0][1]}))


if __name__ == "__main__":
    main()
