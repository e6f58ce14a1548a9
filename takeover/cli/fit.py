"""Commands: `takeover fit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from takeover.cli._terminal import err, out, print_json

if TYPE_CHECKING:
    from takeover.planning.fit import BaseShape, Fit, Gpu

__all__ = ["register"]

_CONTEXT = 8192


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command()(fit)


def fit(
    base: Annotated[str, typer.Option(help="hub:org/name@COMMIT, a folder, tiny, or a well-known org/name.")],
    gpu: Annotated[str | None, typer.Option(help="A GPU such as L4, A10G, L40S, H100.")] = None,
    instance: Annotated[str | None, typer.Option(help="A machine of EC2 or SageMaker, with its GPUs.")] = None,
    gpus: Annotated[int | None, typer.Option(min=1, help="How many of them share the base.")] = None,
    rank: Annotated[int, typer.Option(min=1, help="The largest rank of the adapters.")] = 16,
    adapters: Annotated[int, typer.Option(min=0, help="How many adapters are served; 0 is the base alone.")] = 1,
    context_length: Annotated[
        int | None, typer.Option(min=1, help="Tokens of a request, prompt and answer; 8192, or the base's own less.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests of that length at once.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="One JSON document, for a program.")] = False,
) -> None:
    """Whether a base with its adapters fits on a GPU under vLLM, and with which flags. Exit code 2 when it does not.

    Without --gpu and --instance: the smallest machines on which it fits.
    """
    from takeover.planning import fit as planning

    shape = _shape(base)
    longest = shape.longest_context or _CONTEXT
    load = planning.Load(context_length or min(_CONTEXT, longest), concurrency, adapters, rank)
    if gpu is None and instance is None:
        _print_machines(planning.what_would_fit(shape, load, most=8), json)
        return
    card, count = _cards(gpu, instance, gpus)
    found = planning.fit(shape, load, card, count)
    others = () if found.fits else planning.what_would_fit(shape, load)
    if json:
        print_json(_plain(found, others))
    else:
        _print(found, others)
    if not found.fits:
        raise typer.Exit(2)


def _shape(text: str) -> BaseShape:
    from takeover.bases import parse_base
    from takeover.bases._known_shapes import known_config
    from takeover.bases._shape import base_shape
    from takeover.errors import Refused
    from takeover.planning.fit import shape_of

    known = known_config(text)
    if known is not None:
        return shape_of(known, name=text)
    said: list[str] = []
    found = base_shape(parse_base(text), say=said.append)
    if found is None:
        fix = "Give a folder that holds its config.json, or set HF_TOKEN where the model is gated."
        raise Refused(" ".join(said), fix=fix, where="--base")
    return found


def _cards(gpu: str | None, instance: str | None, gpus: int | None) -> tuple[Gpu, int]:
    from takeover.errors import Refused
    from takeover.planning.fit import gpu_named, instance_named

    if gpu is not None and instance is not None:
        raise Refused("--gpu and --instance are both given", fix="Name a GPU, or a machine that has some.")
    if gpu is not None:
        return gpu_named(gpu, where="--gpu"), gpus or 1
    machine = instance_named(str(instance), where="--instance")
    if gpus is not None and gpus > machine.gpus:
        raise Refused(f"{machine.name} has {machine.gpus} GPUs, and {gpus} are asked for", where="--gpus")
    return machine.gpu, gpus or machine.gpus


def _print_machines(names: tuple[str, ...], as_json: bool) -> None:
    from takeover.errors import Refused

    if as_json:
        print_json(list(names))
    for name in () if as_json else names:
        out.print(name, markup=False)
    if not names:
        raise Refused("it fits on no machine known here", fix="Ask for less, or for a quantized base.")


def _print(found: Fit, others: tuple[str, ...]) -> None:
    from rich.table import Table

    table = Table("what", "GiB", "why")
    table.columns[1].justify = "right"
    for term in found.terms:
        table.add_row(term.name, f"{term.gib:.2f}", term.why)
    table.add_section()
    gib = 1 << 30
    share = f"{found.flags.gpu_memory_utilization:g} of the {found.gpu.memory_gib:g} GiB of a {found.gpu.name}"
    table.add_row("needed", f"{found.total_bytes / gib:.2f}", "on each GPU")
    table.add_row("available", f"{found.available_bytes / gib:.2f}", share)
    out.print(table, soft_wrap=False)
    for sentence in found.sentences:
        out.print(sentence, markup=False)
    if found.fits:
        out.print(f"vllm serve ... {' '.join(found.flags.arguments())}", markup=False)
    else:
        words = f"What would fit: {', '.join(others)}." if others else "Nothing known here fits it: ask for less."
        err.print(words, markup=False)


def _plain(found: Fit, others: tuple[str, ...]) -> dict[str, Any]:
    return {
        "fits": found.fits,
        "gpu": found.gpu.name,
        "tensorParallel": found.tensor_parallel,
        "totalBytes": found.total_bytes,
        "availableBytes": found.available_bytes,
        "largestConcurrency": found.largest_concurrency,
        "kvCacheTokens": found.kv_cache_tokens,
        "terms": [{"name": term.name, "bytes": term.bytes, "why": term.why} for term in found.terms],
        "flags": list(found.flags.arguments()),
        "sentences": list(found.sentences),
        "whatWouldFit": list(others),
    }
