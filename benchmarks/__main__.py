"""`make bench`: run every benchmark, one after the other, and print one table; `--json` for a program.

Each benchmark is a program of its own that prints one JSON object a line: `name`, `ours`, `bare`, `ratio`, `unit`,
`command`. A row compares with something that anybody can run (TRL, transformers, the OpenAI SDK, an empty Pulumi
program), measured in the same run in turns, because the speed of a shared machine drifts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
err = Console(stderr=True)


@dataclass(frozen=True)
class Benchmark:
    """One program of `benchmarks/`, and for each row it prints the bound that the project holds itself to."""

    module: str
    bounds: dict[str, tuple[str, float]]
    arguments: tuple[str, ...] = ()


BENCHMARKS = (
    Benchmark("import_time", {"import takeover (ms)": ("<=", 150.0)}),
    Benchmark("client", {"client call vs openai SDK": ("<=", 1.1)}),
    Benchmark("fit", {"fit on one GPU (ms)": ("<=", 10.0), "what would fit, of all (ms)": ("<=", 10.0)}),
    Benchmark("preview_eks", {"preview of the whole EKS stack, own time (s)": ("<=", 2.0)}),
    Benchmark("preview", {"preview vs empty program": ("<=", 1.6)}),
    Benchmark("training", {"training steps/s vs bare TRL": (">=", 0.97)}),
    Benchmark(
        "serving",
        {"one request vs plain generate (time)": ("<=", 1.05), "8 at once vs one (tokens/s)": (">=", 4.0)},
    ),
    Benchmark("registry", {"push 30 MB vs huggingface_hub": ("<=", 1.2), "pull 30 MB vs huggingface_hub": ("<=", 1.2)}),
    Benchmark("modal_deploy", {"modal deploy, above the bare command (s)": ("<=", 1.0)}),
    Benchmark("inference", {"inference vs raw httpx": ("<=", 1.2)}),
    Benchmark(
        "command_line",
        {
            "takeover tiers (ms)": ("<=", 300.0),
            "takeover deploy, vLLM ready at once (s)": ("<=", 1.5),
            "takeover deploy, above bare modal deploy (s)": ("<=", 1.5),
        },
    ),
    Benchmark("conformance", {"conformance suite (s)": ("<=", 180.0)}),
)
FRESH_CLONE = Benchmark(
    "fresh_clone",
    {"first make demo (s)": ("<=", 480.0), "second make demo (s)": ("<=", 60.0)},
)


def verdict(bound: tuple[str, float] | None, row: dict[str, object]) -> str:
    """Whether the row holds its bound: its ratio where it has one, else the figure itself."""
    if bound is None:
        return "no bound"
    sense, limit = bound
    figure = row["ratio"] if row.get("ratio") is not None else row["ours"]
    value = float(str(figure))
    held = value <= limit if sense == "<=" else value >= limit
    return f"{'held' if held else 'MISSED'} ({sense} {limit:g})"


def run(benchmark: Benchmark) -> list[dict[str, object]]:
    """The rows that one benchmark prints; its own progress goes to stderr."""
    command = [sys.executable, "-m", f"benchmarks.{benchmark.module}", *benchmark.arguments]
    err.print(f"[dim]{' '.join(['python', *command[1:]])}[/dim]")
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [row | {"verdict": verdict(benchmark.bounds.get(row["name"]), row)} for row in rows]


def table(rows: list[dict[str, object]]) -> Table:
    made = Table("what", "ours", "bare", "ratio", "bound", "command")
    for row in rows:
        figures = (row.get("ours"), row.get("bare"), row.get("ratio"))
        texts = ["" if figure is None else f"{float(str(figure)):.3g}" for figure in figures]
        made.add_row(str(row["name"]), *texts, str(row["verdict"]), str(row["command"]))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document in place of the table")
    parser.add_argument("--only", metavar="NAME", help="run this one alone")
    parser.add_argument("--fresh-clone", action="store_true", help="time `make demo` in a fresh clone too (10 minutes)")
    wanted = parser.parse_args()
    chosen = (*BENCHMARKS, FRESH_CLONE) if wanted.fresh_clone else BENCHMARKS
    rows = [row for each in chosen if wanted.only in (None, each.module) for row in run(each)]
    if wanted.json:
        print(json.dumps(rows, indent=2))
    else:
        Console(width=None if sys.stdout.isatty() else 160).print(table(rows))


if __name__ == "__main__":
    main()
