"""`up` of a Modal stack in a process of its own, for tests that kill it: `run_modal_up.py ROOT ADAPTER`."""

from __future__ import annotations

import sys
from pathlib import Path

from modal_stack import ModalStack

from takeover.adapter import open_adapter
from takeover.errors import TakeoverError

root, adapter = (Path(argument) for argument in sys.argv[1:])
try:
    ModalStack(root, root, None, open_adapter(adapter)).up()
except TakeoverError as error:
    sys.stdout.write(f"{error}\n")
    sys.exit(error.exit_code)
