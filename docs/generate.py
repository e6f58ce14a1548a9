"""Write the pages that come out of the code, or check that they are current: `python docs/generate.py write|check`.

`make docs` writes; the test suite checks with the same function.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def tiers_page() -> str:
    """docs/tiers.md: the registry as a table, a column for each tier."""
    from takeover.tiers import TIERS, Feature, Yes

    def cell(answer: object) -> str:
        if isinstance(answer, Yes):
            return f"yes, {answer.note}" if answer.note else "yes"
        return f"no: {answer.reason}; use {answer.instead}"  # type: ignore[attr-defined]

    names = list(TIERS)
    head = ["", *names]
    rows = [
        ["kind", *(record.kind.value for record in TIERS.values())],
        ["environments", *(", ".join(record.environments) for record in TIERS.values())],
        ["variables", *(", ".join(record.environment_variables) or "none" for record in TIERS.values())],
        [
            "cold start",
            *(
                f"{r.cold_start.low_ms / 1000:g}-{r.cold_start.high_ms / 1000:g} s ({r.cold_start.source}, {r.cold_start.date})"
                for r in TIERS.values()
            ),
        ],
        ["largest rank", *(str(record.largest_rank) for record in TIERS.values())],
        ["autoscaling signal", *(record.autoscaling_signal for record in TIERS.values())],
        *([feature.value, *(cell(record.supports[feature]) for record in TIERS.values())] for feature in Feature),
    ]
    lines = [" | ".join(row) for row in (head, ["---"] * len(head), *rows)]
    table = "\n".join(f"| {line} |" for line in lines)
    return f"# Tiers\n\nGenerated from `takeover/tiers.py` by `make docs`.\n\n{table}\n"


def outputs_schema() -> str:
    """docs/outputs.schema.json: the JSON Schema of what applications read."""
    from takeover.outputs import schema_text

    return schema_text()


PAGES: Mapping[str, Callable[[], str]] = {
    "docs/outputs.schema.json": outputs_schema,
    "docs/tiers.md": tiers_page,
}


def stale(root: Path = ROOT) -> list[str]:
    """The pages whose file is not what the code says now."""
    return [name for name, page in PAGES.items() if not (root / name).exists() or (root / name).read_text() != page()]


def main(mode: str) -> None:
    if mode == "write":
        for name, page in PAGES.items():
            (ROOT / name).write_text(page())
        return
    if found := stale():
        sys.exit(f"Not current: {', '.join(found)}. Run `make docs` and commit what it writes.")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main(sys.argv[1] if len(sys.argv) > 1 else "check")
