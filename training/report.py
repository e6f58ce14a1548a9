"""The folder `report/`: curves, answers side by side, figures, as pictures and Markdown. Pure texts and matplotlib."""

from __future__ import annotations

import json
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.datasets.formats import Text

__all__ = ["Answer", "answers_page", "figures_table", "read_metrics", "summary_page", "write_report"]

_PANELS = (
    ("loss", "loss"),
    ("rewards/margins", "reward margin"),
    ("rewards/accuracies", "reward accuracy"),
    ("mean_token_accuracy", "token accuracy"),
)
_BASE_COLOUR, _ADAPTER_COLOUR = "#8a8f98", "#1f6feb"
_COLUMN = 54  # characters of a column in the picture of the answers


@dataclass(frozen=True)
class Answer:
    """One held-out prompt with both answers, greedy."""

    prompt: Text
    base: str
    adapter: str


def write_report(
    folder: Path,
    *,
    name: str,
    metrics: Sequence[Mapping[str, float]],
    figures: Mapping[str, float],
    answers: Sequence[Answer],
    data: Mapping[str, Any],
) -> None:
    """Fill `folder` (made here): README.md, curves.png/svg, answers.md/png/svg, metrics.jsonl, data.json."""
    folder.mkdir(parents=True)
    _write(folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in metrics))
    _write(folder / "data.json", json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    _write(folder / "README.md", summary_page(name, figures, data, with_answers=bool(answers)))
    _draw_curves(folder, metrics)
    if answers:
        _write(folder / "answers.md", answers_page(name, answers))
        _draw_answers(folder, name, answers)


def _write(path: Path, text: str) -> None:
    # Half a character (a lone surrogate) cannot be in the data, but a model may be cut off inside one.
    path.write_text(text, encoding="utf-8", errors="replace")


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The rows of a metrics.jsonl, in order; none where there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def summary_page(name: str, figures: Mapping[str, float], data: Mapping[str, Any], *, with_answers: bool) -> str:
    """The page that one opens first."""
    parts = [
        f"# Training report of {name}",
        f"{data['train']['rows']} rows trained on, {data['heldOut']['rows']} held out; the data report is "
        "[data.json](data.json), every logged step is in [metrics.jsonl](metrics.jsonl).",
        figures_table(figures),
        "![loss, reward margin and accuracy by step](curves.png)",
        "Answers of base and adapter side by side: [answers.md](answers.md), [as a picture](answers.png)."
        if with_answers
        else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def figures_table(figures: Mapping[str, float]) -> str:
    """Held-out figures before and after as a Markdown table; empty without figures."""
    names = {
        "loss": "loss",
        "rewardMargin": "reward margin",
        "rewardAccuracy": "reward accuracy",
        "preferenceAccuracy": "prefers the chosen answer (by token)",
    }
    rows = [
        f"| {label} | {figures[f'{key}Before']:.3f} | {figures[f'{key}After']:.3f} |"
        for key, label in names.items()
        if f"{key}After" in figures
    ]
    head = ["| held-out figure | before | after |", "|---|---:|---:|"]
    return "\n".join(head + rows) if rows else ""


def answers_page(name: str, answers: Sequence[Answer]) -> str:
    """Markdown with one table a prompt: the base's answer beside the adapter's."""
    parts = [f"# Answers of the base and of {name}", "Greedy, on prompts that were held out from training."]
    for answer in answers:
        quoted = "\n".join(f"> {line}" for line in _shown(answer.prompt).splitlines())
        parts.append(f"{quoted}\n\n| base | {name} |\n|---|---|\n| {_cell(answer.base)} | {_cell(answer.adapter)} |")
    return "\n\n".join(parts) + "\n"


def _shown(prompt: Text) -> str:
    if isinstance(prompt, str):
        return prompt
    if len(prompt) == 1:
        return prompt[0].content
    return "\n".join(f"{message.role}: {message.content}" for message in prompt)


def _cell(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    return escaped.replace("\r", "").replace("\n", "<br>") or "*(nothing)*"


def _draw_curves(folder: Path, metrics: Sequence[Mapping[str, float]]) -> None:
    panels = [(key, label) for key, label in _PANELS if any(key in row for row in metrics)][:3]
    if not panels:
        return
    figure = _figure((4.2 * len(panels), 3.2))
    for place, (key, label) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), place)
        rows = [row for row in metrics if key in row]
        mark = "o" if len(rows) < 40 else None
        axes.plot([row["step"] for row in rows], [row[key] for row in rows], color=_ADAPTER_COLOUR, marker=mark, ms=3)
        axes.set_xlabel("step")
        axes.set_title(label, fontsize=11)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if "accuracies" in key:
            axes.set_ylim(-0.03, 1.03)
    figure.tight_layout()
    _save(figure, folder / "curves")


def _draw_answers(folder: Path, name: str, answers: Sequence[Answer]) -> None:
    """A picture of the page: the prompt over both answers, wrapped, as tall as its longest text."""
    blocks = [
        (_wrap(_shown(answer.prompt), 2 * _COLUMN), _wrap(answer.base, _COLUMN), _wrap(answer.adapter, _COLUMN))
        for answer in answers
    ]
    heights = [len(prompt) + max(len(base), len(adapter)) + 2 for prompt, base, adapter in blocks]
    lines = sum(heights) + 2
    figure = _figure((11, 0.165 * lines + 0.2))
    style: dict[str, Any] = {"va": "top", "family": "monospace", "fontsize": 9, "transform": figure.transFigure}

    def put(column: float, line: float, text: str, **more: Any) -> None:
        figure.text(column, 1 - (line + 0.5) / (lines + 1), text, **{**style, **more})

    put(0.02, 0, "base", color=_BASE_COLOUR, weight="bold")
    put(0.51, 0, name, color=_ADAPTER_COLOUR, weight="bold")
    line = 2
    for (prompt, base, adapter), height in zip(blocks, heights, strict=True):
        put(0.02, line, "\n".join(prompt), weight="bold")
        put(0.02, line + len(prompt), "\n".join(base), color="#444444")
        put(0.51, line + len(prompt), "\n".join(adapter), color="#0b3d91")
        line += height
    _save(figure, folder / "answers")


def _wrap(text: str, width: int) -> list[str]:
    # A dollar sign would begin a formula in matplotlib; a tab has no width there.
    lines = text.replace("$", r"\$").expandtabs(4).splitlines() or [""]
    return [part for line in lines for part in (textwrap.wrap(line, width) or [""])]


def _figure(size: tuple[float, float]) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, path: Path) -> None:
    import matplotlib

    # Fixed ids and no date: the same answers give the same file.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": path.name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(path.with_suffix(".png"), dpi=120)
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
