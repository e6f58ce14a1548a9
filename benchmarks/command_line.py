"""The command line's own time: `takeover tiers`, and `takeover deploy` where the other side is ready at once.

The first deploy goes to the fake vLLM server of the tests, in a process of its own, whose answers take milliseconds:
what it takes is not even subtracted. The second goes to the fake Modal, and the real `modal deploy` alone, with the
same app, settings and adapter, is: the rest is this project's. `python -m benchmarks.command_line [--rounds N]`
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from benchmarks._stand_in import served

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
TAKEOVER = str(Path(sys.executable).with_name("takeover"))
_VLLM = """
import sys
from fakes.vllm_server import vllm_cluster
with vllm_cluster() as cluster:
    print(cluster.url, flush=True)
    sys.stdin.read()
"""


def seconds(command: Sequence[str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return time.perf_counter() - began


def deploy(provider: str, adapter: Path, outputs: Path) -> float:
    """Seconds of the command, which is undone; the next one's endpoint has another name."""
    target = ["--provider", provider, "--adapter", str(adapter), "--outputs", str(outputs)]
    took = seconds([TAKEOVER, "deploy", *target])
    seconds([TAKEOVER, "destroy", "--outputs", str(outputs)])
    return took


def to_vllm(scratch: Path, adapters: Sequence[Path]) -> list[float]:
    from fakes.vllm_server import KEY

    with served(_VLLM) as url:
        os.environ |= {"VLLM_CLUSTER_URL": url, "VLLM_API_KEY": KEY}
        return [deploy("dedicated-vllm", adapter, scratch / f"{adapter.name}.json") for adapter in adapters]


def to_modal(scratch: Path, adapters: Sequence[Path]) -> Iterator[tuple[float, float]]:
    """The whole command, and `modal deploy` alone."""
    from fakes.modal_server import FakeModal

    from benchmarks.modal_deploy import bare
    from takeover.adapter import open_adapter

    with FakeModal() as modal:
        os.environ |= {**modal.environment, "MODAL_CONFIG_PATH": str(scratch / "no-such-file")}
        for adapter in adapters:
            yield deploy("modal", adapter, scratch / f"{adapter.name}-modal.json"), bare(open_adapter(adapter))
        if modal.violations:
            raise SystemExit("\n".join(modal.violations))


def report(name: str, ours: float, bare: float | None, unit: str, count: int) -> None:
    rounded = [None if figure is None else round(figure, 3) for figure in (ours, bare)]
    row = {"name": name, "ours": rounded[0], "bare": rounded[1], "ratio": None, "unit": unit}
    print(json.dumps({**row, "command": f"python -m benchmarks.command_line --rounds {count}"}))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.command_line", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    count = parser.parse_args().rounds
    sys.path.append(str(TESTS))
    from fakes.artifacts import make_adapter

    for name in [name for name in os.environ if name.startswith(("MODAL_", "VLLM_", "TAKEOVER_"))]:
        del os.environ[name]
    tiers = [seconds([TAKEOVER, "tiers"]) for _ in range(2 * count + 1)][1:]
    report("takeover tiers (ms)", median(tiers) * 1000, None, "ms", count)
    with tempfile.TemporaryDirectory(prefix="takeover-bench-") as folder:
        scratch = Path(folder)
        os.environ["TAKEOVER_HOME"] = str(scratch / "home")
        adapters = [make_adapter(scratch / f"tone-{seed}", seed=seed, name="tone").path for seed in range(count + 1)]
        took = to_vllm(scratch, adapters)[1:]
        report("takeover deploy, vLLM ready at once (s)", median(took), None, "s", count)
        pairs = list(to_modal(scratch, adapters))[1:]
    alone = median(bare for _, bare in pairs)
    own = median(ours - bare for ours, bare in pairs)
    report("takeover deploy, above bare modal deploy (s)", own, alone, "s", count)


if __name__ == "__main__":
    main()
