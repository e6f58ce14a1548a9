"""A training run from config to artifact: checks first, then the base, then the steps. torch comes in only with these.

`train` is the library's door; `takeover train` (takeover/cli/train.py) is the same with words around it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from takeover.adapter import Adapter, open_adapter
from takeover.bases import BaseRef, parse_base
from takeover.bases.materialise import materialise
from takeover.errors import Refused
from training._failures import explained
from training._machine import choose_device, require_room
from training._make import Run, Stopped, make
from training._work import Work
from training.config import TrainingConfig
from training.datasets.load import load_data
from training.datasets.report import sentences
from training.fingerprint import changes, fingerprint
from training.progress import Listener, Silent

__all__ = ["Stopped", "train"]


def train(
    config: TrainingConfig,
    out: Path,
    *,
    data: str | None = None,
    eval_data: str | None = None,
    base: str | None = None,
    max_steps: int | None = None,
    resume: bool = False,
    listener: Listener | None = None,
) -> Adapter:
    """Train an adapter and write it to `out`, which is never overwritten; what is given beside `config` replaces it.

    When `out` holds this very run already, it is verified and returned at once, without torch. With `resume`, the run
    goes on from its newest whole checkpoint, to the same digest (on a CPU). Raises Refusals/Refused for every kind of
    bad input, before anything is made; Stopped after Ctrl-C or SIGTERM, when a checkpoint is written.
    """
    listener = listener or Silent()
    config = _named(config.overridden(base=base, data=data, eval_data=eval_data, max_steps=max_steps), out)
    ref = _base_of(config)
    identity = fingerprint(config, ref)
    if out.exists() or out.is_symlink():
        return _unchanged(out, identity, listener)
    work = Work(out)
    if work.require_may_start(identity, resume=resume) is None and resume:
        listener.say("there is no checkpoint to go on from; beginning at step 0")
    run = _checked(config, identity, ref, work, listener)
    with work.held():
        try:
            return make(run)
        except Exception as error:
            known = explained(error, work.path)
            if known is None:
                raise
            raise known from error
        finally:
            listener.ended()


def _named(config: TrainingConfig, out: Path) -> TrainingConfig:
    if config.name is not None:
        return config
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", out.name).strip("-._")[:63]
    if not name:
        raise Refused(f"{out} gives the adapter no name", fix="Set name in the config.", where="name")
    return config.model_copy(update={"name": name})


def _base_of(config: TrainingConfig) -> BaseRef:
    if config.base is None:
        raise Refused("no base is named", fix="Give --base, or base in the config.", where="base")
    return parse_base(config.base)


def _unchanged(out: Path, identity: Mapping[str, Any], listener: Listener) -> Adapter:
    """The adapter in `out` if it is of this run; Refused, with what differs, if not."""
    try:
        adapter = open_adapter(out)
    except Refused as error:
        raise Refused(
            f"{out} exists already and is no whole adapter",
            why=str(error).replace("\n", "\n  "),
            fix="Choose another --out, or move it away: nothing is ever overwritten.",
        ) from error
    differing = changes({key: adapter.manifest.training.get(key, {}) for key in identity}, identity)
    if differing:
        raise Refused(
            f"{out} exists already and is of another run",
            why="Changed since: " + "; ".join(differing) + ".",
            fix="Choose another --out; what was trained once is never overwritten.",
        )
    Work(out).remove_leftover()
    listener.say(f"nothing changed: {out} holds {adapter.served_name} of this very run")
    return adapter


def _checked(config: TrainingConfig, identity: Mapping[str, Any], ref: BaseRef, work: Work, listener: Listener) -> Run:
    """Every check that comes before the base's weights are loaded."""
    device = choose_device(config)
    tokenizers: list[Any] = []

    def tokenizer_of() -> Any:
        tokenizers.append(_tokenizer(ref, listener))
        return tokenizers[0]

    data = load_data(config, tokenizer_of)
    for sentence in sentences(data.report):
        listener.say(sentence)
    base = materialise(ref, say=listener.say)
    longest = int(data.report["train"]["tokens"]["longest"]["max"])
    listener.say(require_room(config, base.path, device, longest_row=longest))
    return Run(config, identity, ref, base, tokenizers[0], data, device, work, listener)


def _tokenizer(ref: BaseRef, listener: Listener) -> Any:
    """The base's tokenizer alone; of a Hub model no weights are downloaded yet."""
    from transformers import AutoTokenizer

    try:
        if ref.kind == "hub":
            tokenizer = AutoTokenizer.from_pretrained(ref.name, revision=ref.revision)
        else:
            tokenizer = AutoTokenizer.from_pretrained(materialise(ref, say=listener.say).path, local_files_only=True)
    except (OSError, ValueError) as error:
        # What hinders the tokenizer hinders the rest, and `materialise` knows the words for it.
        materialise(ref, say=listener.say)
        raise Refused(f"the tokenizer of {ref} cannot be loaded", why=str(error).splitlines()[0]) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer
