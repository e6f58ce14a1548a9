"""`takeover preview` on the dev stack against an empty inline program through the Automation API; whole processes.

Both run in turns in a scratch folder with the same engine and a file backend of their own, on a stack that exists and
holds nothing. Ours reads the settings, verifies an adapter (LoRA on the base `tiny`), plans, and asks our provider.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from takeover.engine.binary import find_or_install

ROOT = Path(__file__).parents[1]
TAKEOVER = Path(sys.executable).with_name("takeover")
# What Pulumi's documentation shows for an inline program.
BARE = """\
from pulumi import automation as auto

stack = auto.create_or_select_stack(stack_name="dev", project_name="bare", program=lambda: None)
stack.preview()
"""


def make_project(root: Path) -> None:
    """The dev stack as it stands in this clone, with an adapter that needs no training."""
    sys.path.append(str(ROOT / "tests"))
    from fakes.artifacts import make_adapter

    adapter = make_adapter(root / "adapter")
    (root / "Pulumi.yaml").write_bytes((ROOT / "Pulumi.yaml").read_bytes())
    (root / "plugin").symlink_to(ROOT / "plugin")
    settings = (ROOT / "Pulumi.dev.yaml").read_text()
    (root / "Pulumi.dev.yaml").write_text(settings.replace("adapters/support-tone", str(adapter.path)))
    (root / "bare.py").write_text(BARE)


def environment(root: Path, engine: Path) -> dict[str, str]:
    """The engine on PATH for both, and nothing of the caller's own stacks."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "TAKEOVER_"))}
    cache = {name: value for name, value in os.environ.items() if name == "TAKEOVER_CACHE"}
    ours = {
        "PATH": os.pathsep.join((str(engine.parent), os.environ["PATH"])),
        "TAKEOVER_HOME": str(root / "home"),
        "PULUMI_HOME": str(root / "pulumi-home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    return kept | cache | ours


def timed(command: list[str], root: Path, env: dict[str, str]) -> float:
    """Seconds of wall time of the whole process."""
    began = time.monotonic()
    subprocess.run(command, cwd=root, env=env, capture_output=True, check=True)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preview", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    engine = find_or_install(lambda text: sys.stderr.write(f"{text}\n"))
    with tempfile.TemporaryDirectory(prefix="takeover-preview-") as scratch:
        root = Path(scratch)
        make_project(root)
        env = environment(root, engine)
        (root / "bare-state").mkdir()
        bare_env = env | {"PULUMI_BACKEND_URL": f"file://{root / 'bare-state'}", "PULUMI_CONFIG_PASSPHRASE": "bare"}
        ours, bare = [str(TAKEOVER), "preview", "--stack", "dev"], [sys.executable, "bare.py"]
        timed(ours, root, env), timed(bare, root, bare_env)
        pairs = [(timed(ours, root, env), timed(bare, root, bare_env)) for _ in range(rounds)]
    ours_s, bare_s = (statistics.median(side) for side in zip(*pairs, strict=True))
    row = {
        "name": "preview vs empty program",
        "ours": round(ours_s, 3),
        "bare": round(bare_s, 3),
        "ratio": round(ours_s / bare_s, 3),
        "unit": "s",
        "command": f"python -m benchmarks.preview --rounds {rounds}",
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
