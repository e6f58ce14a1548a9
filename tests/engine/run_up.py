"""`takeover up` with the tests' program, for tests that kill it: prints the outcome's changes, or the error."""

from __future__ import annotations

import sys
from pathlib import Path

from slow_program import program

from takeover.engine.stacks import StackDriver
from takeover.errors import TakeoverError

try:
    outcome = StackDriver("dev", program, project_dir=Path(sys.argv[1]), say=print).up()
except TakeoverError as error:
    sys.stdout.write(f"{error}\n")
    sys.exit(error.exit_code)
sys.stdout.write(f"{dict(outcome.changes)}\n")
