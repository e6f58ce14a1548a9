"""`modal deploy` through the component in the real engine, against the bare command; both deploy to the fake Modal.

Each round has an adapter that neither has sent. Ours is the time from the engine's first word on the component's
`deploy` to its last: pulumi-command's process (the stand-in of the tests, where the real plugin is not on PATH), our
step, the real `modal deploy`. Bare is that command alone, with the same app, settings and adapter under another name.
`python -m benchmarks.modal_deploy [--rounds N]`
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from components.hosting import HostingArgs
from components.modal import ModalHosting
from takeover.adapter import Adapter
from takeover.engine.binary import find_or_install
from takeover.engine.events import Finished, Line, Started
from takeover.engine.stacks import StackDriver
from takeover.modal_contract import container_environment
from takeover.providers._base import EndpointSpec
from takeover.providers._modal_options import build_settings
from takeover.providers._modal_source import APP_FILE
from takeover.tiers import tier

if TYPE_CHECKING:
    from fakes.modal_server import FakeModal

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"


def spec(name: str) -> EndpointSpec:
    return EndpointSpec(name=name, base="tiny", min_replicas=0)


class ThroughTheComponent:
    """A stack on Modal that is up; each call gives it another adapter."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.marks: dict[type, float] = {}
        plugin = json.dumps(str(ROOT / "plugin"))
        (root / "Pulumi.yaml").write_text(
            f"name: takeover\nruntime: python\nplugins:\n  providers:\n    - name: takeover\n      path: {plugin}\n"
        )
        (root / "Pulumi.dev.yaml").write_text("config: {}\n")

    def __call__(self, adapter: Adapter) -> float:
        """Seconds that the resource `deploy` took."""

        def program() -> None:
            ModalHosting("hosting", HostingArgs(tier("modal"), (adapter.trained_model(),), spec("through")))

        StackDriver("dev", program, project_dir=self.root, on_line=self._hear).up()
        return self.marks[Finished] - self.marks[Started]

    def _hear(self, line: Line) -> None:
        if isinstance(line, Started | Finished) and line.step.name == "deploy" and "delete" not in line.step.op:
            self.marks[type(line)] = time.monotonic()


def bare(adapter: Adapter) -> float:
    """Seconds of the command alone."""
    settings = build_settings((adapter.trained_model(),), spec("bare"), root=ROOT)
    environment = {**os.environ, **container_environment(settings)}
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "modal", "deploy", str(APP_FILE)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    return time.monotonic() - began


def set_up(root: Path, modal: FakeModal) -> None:
    """This process's environment, which the engine and its plugins inherit; nothing of the caller's own accounts."""
    for name in [name for name in os.environ if name.startswith(("MODAL_", "PULUMI_", "TAKEOVER_MODAL_"))]:
        del os.environ[name]
    wanted: Mapping[str, str] = {
        **modal.environment,
        "MODAL_CONFIG_PATH": str(root / "no-such-file"),
        "PULUMI_HOME": str(root / "pulumi-home"),
        "TAKEOVER_HOME": str(root / "home"),
        "TAKEOVER_PYTHON": sys.executable,
    }
    os.environ.update(wanted)
    if shutil.which("pulumi-resource-command") is None:
        os.environ["PATH"] = f"{TESTS / 'fakes'}{os.pathsep}{os.environ['PATH']}"


def rounds_of(count: int, root: Path, make_adapter: Callable[..., Adapter]) -> list[tuple[float, float]]:
    """Ours and bare in turns, after one of each that does not count."""
    through = ThroughTheComponent(root)
    adapters = [make_adapter(root / f"tone-{seed}", seed=seed, name="tone") for seed in range(count + 1)]
    return [(through(adapter), bare(adapter)) for adapter in adapters][1:]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.modal_deploy", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    count = parser.parse_args().rounds
    sys.path.append(str(TESTS))
    from fakes.artifacts import make_adapter
    from fakes.modal_server import FakeModal

    find_or_install(lambda text: sys.stderr.write(f"{text}\n"))
    with tempfile.TemporaryDirectory(prefix="takeover-modal-bench-") as scratch, FakeModal() as modal:
        set_up(Path(scratch), modal)
        os.chdir(scratch)
        pairs = rounds_of(count, Path(scratch), make_adapter)
        if modal.violations:
            raise SystemExit("\n".join(modal.violations))
    ours, plain = (median(side) for side in zip(*pairs, strict=True))
    above = median(through - alone for through, alone in pairs)
    command = f"python -m benchmarks.modal_deploy --rounds {count}"
    rows = (
        {"name": "modal deploy through the component (s)", "ours": ours, "bare": plain, "ratio": ours / plain},
        {"name": "modal deploy, above the bare command (s)", "ours": above, "bare": None, "ratio": None},
    )
    for row in rows:
        figures = {name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()}
        print(json.dumps(figures | {"unit": "s", "command": command}))


if __name__ == "__main__":
    main()
