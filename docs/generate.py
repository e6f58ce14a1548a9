"""Write the pages that come out of the code, or check that they are current: `python docs/generate.py write|check`.

`make docs` writes; the test suite checks with the same function.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

ROOT = Path(__file__).resolve().parents[1]


def tiers_page() -> str:
    """docs/tiers.md: the registry as a table, a column for each record."""
    from takeover.tiers import Feature, No, Tier, Yes, all_tiers

    def cell(answer: Yes | No) -> str:
        if isinstance(answer, Yes):
            return f"yes, {answer.note}" if answer.note else "yes"
        return f"no: {answer.reason}; use {answer.instead}"

    def choices(answers: Mapping[str, Yes | No]) -> str:
        return "; ".join(f"{name}: {cell(answer)}" for name, answer in answers.items()) or "-"

    def cold_start(record: Tier) -> str:
        found = record.cold_start
        return f"{found.low_ms / 1000:g}-{found.high_ms / 1000:g} s ({found.source}, {found.date})"

    records = all_tiers()
    head = ["", *(record.row for record in records)]
    rows = [
        ["kind", *(record.kind.value for record in records)],
        ["environments", *(", ".join(record.environments) for record in records)],
        ["variables", *(", ".join(record.environment_variables) or "none" for record in records)],
        ["cold start", *(cold_start(record) for record in records)],
        ["largest rank", *(str(record.largest_rank) for record in records)],
        ["autoscaling signal", *(record.autoscaling_signal for record in records)],
        *([feature.value, *(cell(record.supports[feature]) for record in records)] for feature in Feature),
        ["clusters", *(choices(record.clusters) for record in records)],
        ["engines", *(choices(record.engines) for record in records)],
    ]
    lines = [" | ".join(row) for row in (head, ["---"] * len(head), *rows)]
    table = "\n".join(f"| {line} |" for line in lines)
    return f"# Tiers\n\nGenerated from `takeover/tiers/` by `make docs`.\n\n{table}\n"


def settings_page() -> str:
    """docs/settings.md: what a stack file may say, out of the types that read it."""
    from takeover.settings import _models as models
    from takeover.settings._settings import OPTIONS

    parts = [
        "# Settings",
        "What `Pulumi.<stack>.yaml` may say under `config:`. Generated from `takeover/settings/` by `make docs`.",
        "A wrong key, value or combination stops the preview, all mistakes at once; nothing is created.",
    ]
    for key, model in (
        ("hosting", models.Hosting),
        ("adapter", models.AdapterKeys),
        ("workload", models.Workload),
        ("budget", models.Budget),
        *((name, each.model) for name, each in OPTIONS.items()),
    ):
        filled = ("coldStartTolerance", "minReplicas", "maxReplicas") if key == "hosting" else ()
        parts += [f"## `takeover:{key}`", " ".join((model.__doc__ or "").split()), _schema_table(model, filled)]
        if key == "hosting":
            parts.append(_environments_table())
        if key == "adapter":
            parts.append(
                "`takeover:adapters` is a list of such entries: several adapters on one base, the first the default. "
                "`takeover:previous` is one such entry, or a list: versions that new servers answer for too, while "
                "callers may still have yesterday's outputs. `takeover adapter use` notes it where a tier needs it "
                "(Kubernetes, EKS, SageMaker); the others keep the version before by themselves."
            )
    return "\n\n".join(parts) + "\n"


def _environments_table() -> str:
    """A row for each environment: the keys it needs, and what it fills in."""
    from takeover.settings._hosting import _SHAPES

    rows = ["| environment | needs | may have | fills in |", "|---|---|---|---|"]
    for name, shape in _SHAPES.items():
        fills = {"coldStartTolerance": shape.tolerance, **shape.defaults}
        cells = (shape.needs, shape.may, [f"{key}: {value}" for key, value in fills.items()])
        rows.append(
            f"| {name} | " + " | ".join(", ".join(f"`{word}`" for word in cell) or "-" for cell in cells) + " |"
        )
    return "\n".join(rows)


def _schema_table(model: type[BaseModel], filled: tuple[str, ...] = ()) -> str:
    """A row for each key: what it may be, and its default; `filled` are those that the environment fills in."""
    schema = model.model_json_schema(by_alias=True)
    rows = ["| key | value | default |", "|---|---|---|", *_schema_rows(schema, schema.get("$defs", {}), "", filled)]
    return "\n".join(rows)


def _schema_rows(
    schema: Mapping[str, Any], parts: Mapping[str, Any], prefix: str, filled: tuple[str, ...] = ()
) -> Iterator[str]:
    """The rows of one mapping, those of a mapping in it right below its own."""
    required = set(schema.get("required", ()))
    for name, field in schema["properties"].items():
        needed = "the environment's" if name in filled else "needed"
        inner, listed = _inner(field, parts)
        default = needed if name in required else f"`{json.dumps(field.get('default'))}`"
        if inner is not None:
            default = needed if name in required else "none" if field.get("default") in (None, []) else "as below"
        words = ("list of mappings" if listed else "mapping") if inner is not None else _words(field)
        yield f"| `{prefix}{name}` | {words} | {default if default != '`null`' else 'none'} |"
        if inner is not None:
            yield from _schema_rows(inner, parts, f"{prefix}{name}{'[]' if listed else ''}.")


def _inner(field: Mapping[str, Any], parts: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, bool]:
    """The schema of the mapping that a field is, or that a list of it holds; and whether it is a list."""
    for each in (field, *field.get("anyOf", ()), *field.get("allOf", ())):
        if "$ref" in each:
            return parts[each["$ref"].rpartition("/")[2]], False
        if "$ref" in each.get("items", {}):
            return parts[each["items"]["$ref"].rpartition("/")[2]], True
    return None, False


def _words(field: Mapping[str, Any]) -> str:
    """One JSON Schema of a value in words."""
    if "anyOf" in field:
        return " or ".join(_words(each) for each in field["anyOf"] if each.get("type") != "null")
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    bounds = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "above", "pattern": "like"}
    said = [f"{word} `{field[key]}`".replace("|", "\\|") for key, word in bounds.items() if key in field]
    return " ".join((field["type"], *said))


def conformance_page() -> str:
    """docs/conformance.md: a row per record, a column per case, from docs/conformance.json, which a run wrote."""
    from takeover.tiers import all_tiers

    found = json.loads((ROOT / "docs" / "conformance.json").read_text())
    cases = sorted({case for row in found.values() for case in row})

    def cell(tier: str, case: str) -> str:
        seen = found.get(tier, {}).get(case)
        if seen is None:
            return "-"
        return f"{seen['passed']}/{seen['run']}, {seen['requests'] or 0}"

    head = ["tier", *(str(number) for number, _ in enumerate(cases, 1)), "requests"]
    lines = [head, ["---"] * len(head)]
    for row in (record.row for record in all_tiers()):
        total = sum(seen["requests"] or 0 for seen in found.get(row, {}).values())
        lines.append([row, *(cell(row, case) for case in cases), str(total)])
    parts = [
        "# Conformance",
        "Generated by `make docs` from `docs/conformance.json`, which `make conformance` writes: one suite "
        "(`tests/conformance`) over every tier of the registry, each against a fake of its vendor that keeps state and "
        "refuses what is not described.",
        "A cell is: tests passed/run, requests that the fake held against its description. `-`: the tier denies "
        "nothing that this case asks for. Where the requests are 0 the case is refused before anybody is "
        "asked, or the answer is a canned one.",
        "\n".join(f"| {' | '.join(line)} |" for line in lines),
        "\n".join(f"{number}. {_case_words(case)}" for number, case in enumerate(cases, 1)),
    ]
    return "\n\n".join(parts) + "\n"


def _case_words(case: str) -> str:
    return case.removeprefix("test_").replace("_s_", "'s ").replace("_", " ")


def environment_page() -> str:
    """docs/environment.md: every variable, tier by tier, then all of them."""
    from takeover.environment import VARIABLES, meaning_of
    from takeover.tiers import all_tiers

    tiers = ["| tier | variable | meaning |", "|---|---|---|"]
    for record in all_tiers():
        if not record.environment_variables:
            tiers.append(f"| {record.row} | none | |")
        for name in record.environment_variables:
            tiers.append(f"| {record.row} | `{name}` | {meaning_of(name)} |")
    rows = ["| variable | whose name it is | meaning | secret |", "|---|---|---|---|"]
    for each in VARIABLES:
        rows.append(f"| `{each.name}` | {each.owner} | {each.meaning} | {'yes' if each.secret else ''} |")
    parts = [
        "# Environment variables",
        "Generated from `takeover/environment.py` and `takeover/tiers/` by `make docs`. `takeover doctor` looks "
        "whether credentials are there and alive.",
        "## What each tier needs",
        "\n".join(tiers),
        "## All variables",
        "A vendor's variable has the vendor's own name. A secret is read when it is used: it is never an input or "
        "output of a stack, and never printed.",
        "\n".join(rows),
    ]
    return "\n\n".join(parts) + "\n"


def outputs_schema() -> str:
    """docs/outputs.schema.json: the JSON Schema of what applications read."""
    from takeover.outputs import schema_text

    return schema_text()


PAGES: Mapping[str, Callable[[], str]] = {
    "docs/conformance.md": conformance_page,
    "docs/environment.md": environment_page,
    "docs/outputs.schema.json": outputs_schema,
    "docs/settings.md": settings_page,
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
