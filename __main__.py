"""What the engine's own command line runs. `takeover up` runs the same program."""

import pulumi

from components.program import program
from takeover.errors import TakeoverError

try:
    program()
except TakeoverError as error:
    raise pulumi.RunError(str(error)) from None
