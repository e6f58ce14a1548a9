"""Where a client's outputs come from; each source can be read again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from takeover.errors import Refused
from takeover.outputs import EndpointOutputs, outputs_from_file, parse_outputs

__all__ = ["Source", "StackSource", "env_source", "file_source"]

Source = Callable[[], EndpointOutputs]


def file_source(path: Path | str) -> Source:
    """A file as `takeover outputs --json --show-secrets` or `takeover deploy --outputs FILE` writes it."""
    return lambda: outputs_from_file(Path(path))


def env_source(var: str) -> Source:
    """An environment variable that holds the JSON text of the outputs."""

    def read() -> EndpointOutputs:
        text = os.environ.get(var)
        if not text:
            fix = f'Set it: export {var}="$(takeover outputs --stack dev --json --show-secrets)"'
            raise Refused(f"the environment variable {var} is not set", fix=fix)
        return parse_outputs(_json(text, var), where=var)

    return read


@dataclass(frozen=True)
class StackSource:
    """The outputs of a Pulumi stack, read through the engine (half a second)."""

    stack: str
    project_dir: Path | None = None

    def __call__(self) -> EndpointOutputs:
        from takeover.engine.stacks import stack_outputs

        values = stack_outputs(self.stack, project_dir=self.project_dir, show_secrets=True)
        if "endpoint" not in values:
            fix = f"Make it: takeover up --stack {self.stack}"
            raise Refused(f"the stack {self.stack} has no endpoint", why="Nothing is deployed.", fix=fix)
        return parse_outputs(values, where=f"the stack {self.stack}")

    def is_changing(self) -> bool:
        """Whether an update runs that may change them; False where the state is in no folder of this machine."""
        from takeover.engine.locks import is_held
        from takeover.engine.project import open_project

        project = open_project(self.project_dir)
        state = project.state_folder()
        return state is not None and is_held(state, project.name, self.stack)


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        # The text may hold a key: it is never quoted.
        raise Refused(
            "the outputs are no JSON", fix="Write them with `takeover outputs --json --show-secrets`.", where=where
        ) from None
