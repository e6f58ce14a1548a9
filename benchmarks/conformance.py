"""How long the conformance suite takes, on two workers: every tier of the registry against every case.

`python -m benchmarks.conformance`
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    began = time.perf_counter()
    suite = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "tests/conformance"]
    done = subprocess.run(suite, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stdout[-4000:])
    row = {
        "name": "conformance suite (s)",
        "ours": round(time.perf_counter() - began, 1),
        "bare": None,
        "ratio": None,
        "unit": "s",
        "command": "python -m benchmarks.conformance",
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
